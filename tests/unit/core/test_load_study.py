"""From a study's file to the typed configuration: what is merged, refused and how it is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import yaml
from core_helpers import make_study, study_keys
from pydantic import BaseModel, ValidationError

from weightwise.config import StudyConfig, load_study
from weightwise.config.load import merge
from weightwise.config.study import exact_decimal
from weightwise.errors import UserError
from weightwise.grid import Grid

ROOT = Path(__file__).parents[3]


@pytest.fixture
def study_file(tmp_path: Path):
    """`study_file(**keys)` writes the tiny study as YAML and returns its path."""

    def write(name: str = "study.yaml", **keys) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(study_keys(tmp_path, **keys), sort_keys=False))
        return path

    return write


def refusal(path: Path, *assignments: str) -> str:
    with pytest.raises(UserError) as caught:
        load_study(path, assignments)
    return str(caught.value)


def test_default_study_is_valid():
    assert load_study(ROOT / "config.yaml").name == "embedded"


@pytest.mark.parametrize(
    ("assignment", "where", "hint"),
    [
        ("combinerz=[addition]", "combinerz", "did you mean 'combiners'?"),
        ("training.learnin_rate=1", "training: ", "did you mean 'learning_rate'?"),
        ("tasks.SEN.lable=x", "tasks.SEN: ", "did you mean 'label'?"),
        ("tasks.SEN.data.train.pth=x", "tasks.SEN.data.train: ", "did you mean 'path'?"),
        ("encoder.max_lenght=9", "encoder: ", "did you mean 'max_length'?"),
        ("zzzzzz=1", "zzzzzz", "known: "),
    ],
)
def test_unknown_key_is_refused_with_the_nearest(study_file, assignment, where, hint):
    path = study_file()
    said = refusal(path, assignment)
    assert str(path) in said
    assert where in said
    assert hint in said


@pytest.mark.parametrize("alpha", [-0.1, 1.01, "2", "nan", "inf", "much", "", None, True])
def test_alpha_outside_the_unit_interval_is_refused(study_file, alpha):
    said = refusal(study_file(alphas=[0.5, alpha]))
    assert "alphas" in said
    assert "is outside [0, 1]" in said or "is not a number" in said


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2 - 0.2, "0.10000000000000003"),
        ("0.50", "0.5"),
        ("1e-1", "0.1"),
        (1e-7, "0.0000001"),
        (" .4 ", "0.4"),
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        ("1.000", "1"),
    ],
)
def test_alphas_are_exact_decimals(given, text):
    assert exact_decimal(given) == text


def test_alphas_that_are_one_number_are_refused(study_file):
    assert "given twice: 0.5" in refusal(study_file(alphas=[0.5, "0.50"]))


def test_unknown_task_in_a_grouping(study_file):
    said = refusal(study_file(groupings=[["SEN", "PARR"]]))
    assert "unknown task 'PARR'" in said
    assert "did you mean 'PAR'?" in said


def test_seeds_go_to_the_ends_of_what_tables_hold(study_file):
    ends = [-(2**63), -1, 2**63 - 1]
    assert load_study(study_file(seeds=ends, study_seed=-(2**63))).seeds == tuple(ends)


def test_a_single_seed_that_is_refused_is_one_line(study_file):
    assert "\n" not in refusal(study_file(), "seeds=[9223372036854775808]")


@pytest.mark.parametrize("groupings", [[["SEN", "SEN"]], [[]]])
def test_grouping_with_a_repeat_or_nothing_is_refused(study_file, groupings):
    assert "groupings" in refusal(study_file(groupings=groupings))


def test_study_may_not_take_the_name_of_a_shared_folder(study_file):
    """results/runs/ is the store and results/downloads/ the cache."""
    for name in ("runs", "downloads", "Runs"):
        assert name in refusal(study_file(), f"name={name}")


def test_task_names_that_differ_by_case_are_refused(study_file):
    path = study_file()
    data = yaml.safe_load(path.read_text())
    data["tasks"]["sen"] = data["tasks"]["SEN"]
    path.write_text(yaml.safe_dump(data))
    assert "differ only by case" in refusal(path)


def test_duplicate_key_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\ntraining:\n  epochs: 1\n  epochs: 2\n")
    assert "'epochs' is given twice" in refusal(path)


def test_merge_key_may_be_refined(tmp_path):
    """`<<: *x` beside an own key is no repeat."""
    path = tmp_path / "merged.yaml"
    data = yaml.safe_dump(study_keys(tmp_path))
    path.write_text(data + "report:\n  <<: &r {title: one, power: 0.9}\n  title: two\n")
    study = load_study(path)
    assert (study.report.title, study.report.power) == ("two", 0.9)


def test_missing_broken_and_empty_files(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "none.yaml")
    for text, said in (("a: [", "not valid YAML"), ("- a", "must be a mapping"), ("", "mapping")):
        path = tmp_path / "broken.yaml"
        path.write_text(text)
        assert said in refusal(path)
    (tmp_path / "latin.yaml").write_bytes("name: \xe9".encode("latin-1"))
    assert "not UTF-8" in refusal(tmp_path / "latin.yaml")


def test_merge_goes_key_by_key_and_replaces_the_rest():
    base = {"a": {"x": 1, "y": 2}, "list": [1, 2], "s": 1}
    over = {"a": {"y": 3}, "list": [9], "s": {"z": 1}}
    assert merge(base, over) == {"a": {"x": 1, "y": 3}, "list": [9], "s": {"z": 1}}
    assert base == {"a": {"x": 1, "y": 2}, "list": [1, 2], "s": 1}


def test_source_of_another_type_replaces_the_whole_source():
    base = {"train": {"type": "package", "package": "p", "format": "tsv"}}
    same = {"train": {"type": "package", "version": "2"}}
    other = {"train": {"type": "file", "path": "x"}}
    assert merge(base, same)["train"] == base["train"] | same["train"]
    assert merge(base, other) == other


def test_extends_refines_its_parent(study_file, tmp_path):
    study_file("parent.yaml")
    (tmp_path / "sub").mkdir()
    child = tmp_path / "sub" / "child.yaml"
    child.write_text(
        "extends: ../parent.yaml\nname: child\ntraining: {epochs: 7}\n"
        "tasks: {SEN: {data: {test: null}}}\nseeds: [4]\n"
    )
    study = load_study(child)
    assert study.name == "child"
    assert (study.training.epochs, study.training.batch_size) == (7, 8)
    assert study.tasks["SEN"].data.test is None
    assert study.tasks["SEN"].data.dev.path == "SEN-dev.csv"
    assert study.tasks["PAR"].data.test is not None
    assert list(study.tasks) == ["SEN", "PAR", "SIM"]
    assert study.seeds == (4,)


def test_extends_in_a_circle_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: ./a.yaml\n")
    assert "circle" in refusal(tmp_path / "a.yaml")


def test_extends_names_the_file_that_is_missing(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: gone.yaml\n")
    assert "gone.yaml: cannot be read" in refusal(tmp_path / "a.yaml")


def test_assignments(study_file):
    study = load_study(
        study_file(),
        [
            "training.epochs=2",
            "training.learning_rate=2e-5",
            "seeds=[7, 8]",
            "tasks.SIM.data.limit.train=10",
            "report.title=a=b",
        ],
    )
    assert study.training.epochs == 2
    assert study.training.learning_rate == 2e-5
    assert study.training.batch_size == 8
    assert study.seeds == (7, 8)
    assert study.tasks["SIM"].data.limit.train == 10
    assert study.report.title == "a=b"


@pytest.mark.parametrize("assignment", ["training.epochs", "=3", "a..b=1", "seeds=[1"])
def test_malformed_assignment_is_refused(study_file, assignment):
    assert f"--set {assignment}" in refusal(study_file(), assignment)


def test_value_of_another_type_names_the_key(study_file):
    assert "training.epochs" in refusal(study_file(), "training.epochs=many")


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        (
            "tasks.SEN.data.train.path=3",
            'tasks.SEN.data.train.path: is 3, but must be a text: put it in quotes, "3"',
        ),
        ("tasks.SEN.data.train={type: file}", "tasks.SEN.data.train.path: is missing"),
        (
            "tasks.SEN.data.train={type: package, package: 3}",
            "tasks.SEN.data.train.package: is 3, but must be a text: put it in quotes",
        ),
        ("seeds=[1, x]", "seeds.1: is 'x', but must be a whole number"),
        ("seeds=1", "seeds: is 1, but must be a list: write it as a list, seeds: [1]"),
        ("seeds=[]", "seeds: name at least one seed"),
        ("seeds=[9223372036854775808]", "seeds.0: is "),
        ("seeds=[-9223372036854775809]", "seeds.0: is "),
        ("study_seed=9223372036854775808", "study_seed: is "),
        (
            "tasks.SEN.data.limit.seed=-9223372036854775809",
            "tasks.SEN.data.limit.seed: is ",
        ),
        (
            "tasks.SEN.data.split={dev: 0.1, seed: 9223372036854775808}",
            "tasks.SEN.data.split.seed: is ",
        ),
        ("training.epochs=2147483648", "training.epochs: is "),
        ("training.batch_size=1000000000000", "training.batch_size: is "),
        ("training.train_rows={SEN: 2147483648}", "training.train_rows.SEN: is "),
        ("training.record_every=1000000000000", "training.record_every: is "),
        ("training.probe_epochs=1000000000000", "training.probe_epochs: is "),
        ("encoder.layers=1000000000000", "encoder.layers: is "),
        ("threads=1000000000000", "threads: is "),
        ("alphas=['1e-999999999']", "alphas.0: alpha 1e-999999999 has more than 20 decimals"),
        ("groupings={upto: 2}", "groupings: unknown key 'upto'; did you mean 'up_to'?"),
        ("groupings=[]", "groupings: name at least one"),
        ("combiners=[adition]", "combiners.0: unknown combiner 'adition'; did you mean"),
        ("encoder.layers=[a]", "encoder.layers.0: is 'a', but must be a whole number"),
        ("training.clip_norm=.inf", "training.clip_norm: is inf, but must be a finite number"),
        (
            "training.weight_decay=.inf",
            "training.weight_decay: is inf, but must be a finite number",
        ),
        ("tasks.SIM.range=[0, .inf]", "tasks.SIM: `range` must be"),
        ("tasks.SEN.classes=[a, b, a]", "tasks.SEN: `classes` must differ"),
        ("tasks.SIM.decoder=product", "tasks.SIM: decoder 'product' needs `pair: siamese`"),
        ("training.decoder=product", "training: decoder 'product' needs `pair: siamese`"),
        ("tasks.SIM.decoder=cosine", "tasks.SIM: decoder 'cosine' needs `pair: siamese`"),
        ("training.decoder=cosine", "training: decoder 'cosine' needs `pair: siamese`"),
        (
            "training.output=sigmoid5",
            "training.output: 'sigmoid5' is none of: relu, sigmoid, identity; did ",
        ),
        ("training.similarity_loss=mae", "training.similarity_loss: 'mae' is none of: mse, "),
        (
            "tasks.SEN.loss=mse",
            "tasks.SEN: loss 'mse' does not fit a classification task; known: cross_entropy",
        ),
        (
            "tasks.SIM.loss=binary_cross_entropy",
            "tasks.SIM: loss 'binary_cross_entropy' does not fit a regression task; known: mse, ",
        ),
        (
            "training.similarity_loss=cosine_embedding_graded",
            "tasks.SIM: loss 'cosine_embedding_graded' needs `pair: siamese`, and `pair` is "
            "'joint'",
        ),
        (
            "tasks.SIM.loss=cosine_embedding_two_class",
            "tasks.SIM: loss 'cosine_embedding_two_class' needs `pair: siamese`",
        ),
        (
            "training={pair: siamese, similarity_loss: cosine_embedding_graded}",
            "tasks.SIM: loss 'cosine_embedding_graded' needs `decoder: cosine`, and `decoder` is "
            "'concatenate'",
        ),
        (
            "sweep={similarity_loss: [mse, cosine_embedding_graded], pair: [joint, siamese]}",
            "tasks.SIM: loss 'cosine_embedding_graded' needs `pair: siamese`, and `pair` is "
            "'joint' (sweep: pair=joint,similarity_loss=cosine_embedding_graded)",
        ),
    ],
)
def test_refusal_names_the_key_as_the_user_wrote_it(study_file, assignment, said):
    path = study_file()
    assert f"{path}: {said}" in refusal(path, assignment)


SIAMESE = ["training.pair=siamese", "training.decoder=cosine"]


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (
            ["tasks.SIM.text=[first]", "tasks.SIM.loss=cosine_embedding_graded"],
            "tasks.SIM: loss 'cosine_embedding_graded' compares the two texts of a pair; set",
        ),
        (
            ["tasks.SIM.loss=cosine_embedding_graded", "tasks.SIM.decoder=product"],
            "tasks.SIM: loss 'cosine_embedding_graded' needs `decoder: cosine`, and `decoder` is "
            "'product'",
        ),
        (
            ["tasks.SIM.loss=cosine_embedding_graded", "tasks.SIM.output=relu"],
            "tasks.SIM: loss 'cosine_embedding_graded' reads a cosine or class probabilities, so "
            "`output` makes no sense; leave it out",
        ),
        (
            ["tasks.SIM.decoder=cosine", "tasks.SIM.output=sigmoid"],
            "tasks.SIM: decoder 'cosine' reads a cosine",
        ),
        (
            ["tasks.SIM.loss=cross_entropy", "tasks.SIM.range=[0, 4.5]"],
            "tasks.SIM: loss 'cross_entropy' rounds labels to whole numbers, so both ends of "
            "`range` must be whole; [0, 4.5] is not",
        ),
        (
            ["training.similarity_loss=cross_entropy", "tasks.SIM.range=[0, 100]"],
            "tasks.SIM: loss 'cross_entropy' over 101 whole labels is too much (at most 100)",
        ),
    ],
)
def test_losses_that_cannot_be_computed_are_refused(study_file, assignments, said):
    path = study_file()
    assert f"{path}: {said}" in refusal(path, *SIAMESE, *assignments)


@pytest.mark.parametrize(
    "assignments",
    [
        [*SIAMESE, "training.similarity_loss=cosine_embedding_graded"],
        [*SIAMESE, "sweep.similarity_loss=[mse, cosine_embedding_two_class, cross_entropy]"],
        [*SIAMESE, "tasks.SIM.pair=joint"],
        ["tasks.SIM.pair=siamese", "tasks.SIM.decoder=cosine"],
        ["training.similarity_loss=cross_entropy", "tasks.SIM.range=[0, 99]"],
        ["tasks.SIM.decoder=cosine", "sweep.pair=[joint, siamese]"],
        ["sweep={pair: [siamese], decoder: [cosine], similarity_loss: [cosine_embedding_graded]}"],
        ["tasks.SEN.loss=cross_entropy", "tasks.SEN.data.balance=true"],
    ],
)
def test_losses_and_decoders_that_fit(study_file, assignments):
    assert Grid(load_study(study_file(), assignments)).runs


def test_sweep_of_an_unknown_key(study_file):
    said = refusal(study_file(sweep={"learnin_rate": [1, 2]}))
    assert "unknown training key 'learnin_rate'" in said
    assert "did you mean 'learning_rate'?" in said
    assert "differ" in refusal(study_file(sweep={"epochs": [1, 1]}))


def test_data_dir_comes_from_the_environment(study_file, monkeypatch):
    path = study_file()
    assert load_study(path).data_dir == str(path.parent / "data")
    monkeypatch.setenv("WEIGHTWISE_DATA_DIR", "/elsewhere")
    assert load_study(path).data_dir == "/elsewhere"
    assert load_study(path, ["data_dir=/mine"]).data_dir == "/elsewhere"


def _models(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) is Annotated:
        return _models(get_args(annotation)[0])
    return set().union(*(_models(part) for part in get_args(annotation)))


def test_every_key_is_described():
    todo, seen = {StudyConfig}, set()
    while todo:
        model = todo.pop()
        seen.add(model)
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no docstring"
            todo |= _models(field.annotation) - seen
    assert {m.__name__ for m in seen} >= {"TaskConfig", "HubSource", "EncoderHub", "RowFilter"}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({"published": "simcse", "counterparts": {"round-robbin, fine-tune": "one"}},
         "'simcse' prints no arm 'round-robbin, fine-tune'; did you mean 'round-robin, fine-tune'"),
        ({"published": "simcse", "counterparts": {"round-robin, fine-tune": "too"}},
         "counterparts.round-robin, fine-tune: unknown arm 'too'; did you mean 'two'"),
        ({"published": "simcse", "counterparts": {"round-robin, fine-tune": {"arms": "two"}}},
         "unknown key 'arms'"),
        ({"counterparts": {"round-robin, fine-tune": "two"}}, "needs `published`"),
        ({"published": "pairing", "counterparts": {"x": "two"}}, "with a table of arms"),
    ],
)  # fmt: skip
def test_counterparts_name_what_was_printed_and_what_is_run(tmp_path, report, message):
    arms = {"one": {}, "two": {"epochs": 2}}
    with pytest.raises(ValidationError, match=re.escape(message)):
        make_study(tmp_path, arms=arms, report=report)

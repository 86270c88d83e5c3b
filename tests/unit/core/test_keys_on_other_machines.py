"""Studies that leave precision and device to the machine: keys, and who finds which result."""

from __future__ import annotations

import json
import shutil

from weightwise.collect import collect
from weightwise.files import write_json
from weightwise.progress import study_status
from weightwise.tables import Costs, read_table
from weightwise.train.run import execute

RUN = "SEN+SIM/addition/default/seed-1"
AUTO = {
    "groupings": [["SEN", "SIM"]],
    "combiners": ["addition"],
    "training": {"epochs": 1, "examples_per_epoch": 8, "precision": "auto", "device": "auto"},
}


def run_json(study, key: str) -> dict:
    return json.loads((study.store.folder(key) / "run.json").read_text())


def test_two_unlike_machines_share_a_store_and_no_result(prepared, play):
    study = prepared(**AUTO)
    run = study.grid.run(RUN)
    play(bf16=False)
    narrow_not, trained = execute(study, run)
    assert trained
    play(bf16=True)
    narrow, trained = execute(study, run)
    assert trained, "the other machine's result was taken for this one's"
    assert narrow != narrow_not
    assert run_json(study, narrow)["precision"] == "bf16"
    assert run_json(study, narrow_not)["precision"] == "fp32"
    assert {narrow, narrow_not} < set(study.keys(run))
    assert len(study.keys(run)) == 4
    play(bf16=False)
    assert execute(study, run) == (narrow_not, False)


def test_readers_find_what_another_machine_trained(prepared, play):
    study = prepared(**AUTO)
    run = study.grid.run(RUN)
    play(bf16=True)
    key, _ = execute(study, run)
    play(bf16=False)
    assert study.key(run) != key
    assert study.finished_key(run) == key
    assert study.record(run)["key"] == key
    states = {one.id: one.state for one in study_status(study.study, study.layout).runs}
    assert states[RUN] == "done"
    scores = collect(study)
    assert set(scores["run"]) == {key}


def test_a_marker_is_believed_only_where_it_can_be_right(prepared, play):
    study = prepared(**AUTO)
    other = prepared(**(AUTO | {"training": AUTO["training"] | {"precision": "bf16"}}))
    run = study.grid.run(RUN)
    marker = study.layout.done(run, study.grid.fingerprint(run))
    play(bf16=False)
    own, _ = execute(study, run)
    foreign, _ = execute(other, other.grid.run("SEN/baseline/default/seed-1"))
    shutil.copytree(other.store.folder(foreign), study.store.folder(foreign))
    for told in ({"key": foreign}, {"key": "0" * 32}, {"key": None}, {}, []):
        write_json(marker, told)
        assert study.finished_key(run) == own, told
    # Named rightly, but the store has lost it: this machine's own counts.
    lost = study.keys(run)[1]
    write_json(marker, {"key": lost})
    assert study.finished_key(run) == own
    shutil.rmtree(study.store.folder(own))
    assert study.finished_key(run) is None


def test_what_is_said_outright_has_one_key(prepared, play):
    study = prepared(**(AUTO | {"training": {"precision": "fp32", "device": "cpu"}}))
    run = study.grid.run(RUN)
    keys = set()
    for bf16 in (True, False):
        play(bf16=bf16)
        keys |= set(study.keys(run))
    assert keys == {study.key(run)}


def test_versions_that_make_numbers_are_in_the_key(prepared, monkeypatch):
    study = prepared(combiners=["addition", "upgrad"])
    runs = {r.arm.combiner: r for r in study.grid.runs if len(r.group) == 2}
    before = {name: study.key(run) for name, run in runs.items()}
    marks = {name: study.grid.fingerprint(run) for name, run in runs.items()}
    from weightwise.identity import versions

    real = versions.installed
    for package, moved in (
        ("torch", {"addition", "upgrad"}),
        ("scipy", {"upgrad"}),
        ("pandas", set()),
    ):
        versions.versions.cache_clear()
        monkeypatch.setattr(
            versions, "installed", lambda name, p=package: "9.9" if name == p else real(name)
        )
        other = prepared(combiners=["addition", "upgrad"])
        assert {n for n, run in runs.items() if other.key(run) != before[n]} == moved
        assert {n for n, run in runs.items() if other.grid.fingerprint(run) != marks[n]} == moved
    versions.versions.cache_clear()


def test_every_combiner_that_a_run_uses_is_in_its_key(prepared, tmp_path, monkeypatch):
    """Runs whose epochs end with surgery use PCGrad whatever their arm's combiner is."""
    from weightwise import code

    keys = {
        "combiners": ["addition"],
        "training": {"schedule": "round_robin"},
        "arms": {"plain": {}, "surgery": {"epoch_surgery": True}},
    }
    study = prepared(**keys)
    before = {run.id: study.key(run) for run in study.grid.runs}
    marks = {run.id: study.grid.fingerprint(run) for run in study.grid.runs}
    copy = tmp_path / "package"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "combine" / "pcgrad.py"
    file.write_text(file.read_text().replace("product < 0 and", "product > 0 and"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    code.forget()
    try:
        other = prepared(**keys)
        moved = {run.id for run in other.grid.runs if other.key(run) != before[run.id]}
        due = {run.id for run in other.grid.runs if other.grid.fingerprint(run) != marks[run.id]}
    finally:
        code.forget()
    assert moved == due == {name for name in before if "/surgery/" in name and "+" in name}


def test_a_sweep_over_a_key_of_regression_repeats_no_other_run(prepared):
    study = prepared(sweep={"output": ["relu", "sigmoid"]}, alphas=[0.3])
    one, other = (f"SEN/baseline/output={value}/seed-1" for value in ("relu", "sigmoid"))
    assert execute(study, study.grid.run(one)) == (study.key(study.grid.run(one)), True)
    assert execute(study, study.grid.run(other)) == (study.key(study.grid.run(one)), False)
    scores = collect(study)
    assert set(scores["variant"]) == {"output=relu", "output=sigmoid"}
    costs = read_table(study.layout.tables / "costs.parquet", Costs)
    assert costs["id"].tolist() == [one], "a run that two variants share cost once"
    keys: dict[str, set[str]] = {}
    for run in study.grid.runs:
        place = run.id.replace(run.variant, "")
        keys.setdefault(place, set()).add(study.key(run))
    assert len(keys) == 3 + 3 * 3
    shared = {place for place, found in keys.items() if len(found) == 1}
    assert shared == {place for place in keys if "SIM" not in place.split("/")[0]}

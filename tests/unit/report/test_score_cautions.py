"""What touches the scores stands beside them: on the cards, in the task's section, first of all."""

from __future__ import annotations

import pandas as pd
import pytest
from figure_inputs import make_checks, make_scores, make_study, no_figures

from weightwise.analysis.run import analyse
from weightwise.config import StudyConfig
from weightwise.figures.inputs import load_inputs
from weightwise.report import build_report
from weightwise.report.score_cautions import score_cautions, share
from weightwise.report.verdict import cards, headline, selected_on_dev


def leak(kind: str, a: str, b: str, split: str, count: int, rows: int = 60) -> dict:
    place = {"task_a": a, "split_a": "train", "task_b": b, "split_b": split}
    return place | {"kind": kind, "count": count, "share_of_b": count / rows, "examples": []}


def split_facts(way: str, cut: int, unknown: int = 0, rows: int = 60) -> dict:
    tokens = {"rows": rows, "tokens": 1000, "unknown": unknown}
    return {"rows": rows, "tokens": tokens | {"longest": {way: 90}, "cut": {way: cut}}}


def some_checks(**changes) -> dict:
    """SEN beside PAR: a few texts cut, rows of SEN's dev in PAR's and its own train."""
    checks = make_checks()
    checks["tasks"]["SEN"]["splits"] = {
        "train": split_facts("single", 30),
        "dev": split_facts("single", 37, unknown=151),
    }
    checks["tasks"]["PAR"] = {"splits": {"dev": split_facts("single", 2)}}
    checks["leakage"] = [
        leak("example", "PAR", "SEN", "dev", 55),
        leak("sentence", "PAR", "SEN", "dev", 58),
        leak("example", "SIM", "SEN", "dev", 3),
        leak("example", "SEN", "SEN", "dev", 6),
        leak("sentence", "SEN", "SEN", "dev", 60),
    ]
    checks["encoder"]["max_length"] = 48
    return checks | changes


def inputs_of(tmp_path, study: StudyConfig, scores: pd.DataFrame | None = None, **options):
    scores = make_scores(**options) if scores is None else scores
    analyse(scores, tmp_path / "tables")
    return load_inputs(tmp_path / "tables", study)


CUT = "62 % of the dev texts, 50 % of train are cut at 48 tokens"
UNKNOWN = "15 % of the dev tokens are unknown to the encoder"
OWN = "Its own train holds 6 of the 60 dev rows (10 %)"
PARTNER = "With PAR: its train holds 55 of the 60 dev rows (92 %) and a text of 58 (97 %)"


def test_cards_tell_what_touches_their_scores(tmp_path):
    inputs = inputs_of(tmp_path, make_study())
    scores = inputs.scores
    assert any("SIM" in group for group in scores[scores["task"] == "SEN"]["group"])
    made = {card.task: card.cautions for card in cards(inputs, "default", some_checks())}
    other = "With SIM: its train holds 3 of the 60 dev rows (5.0 %)"
    assert made["SEN"] == [CUT, UNKNOWN, OWN, PARTNER, other]
    assert made["PAR"] == []  # a thirtieth is cut: told further down
    told = score_cautions(inputs, "default", "PAR", some_checks(), all_cuts=True)
    assert told == ["3.3 % of the dev texts are cut at 48 tokens"]


def test_partners_count_that_train_the_encoder_in_a_grouping_of_the_task(tmp_path):
    study = make_study()
    inputs = inputs_of(tmp_path, study)
    paired = inputs.scores["group"].isin(["SEN", "PAR", "SIM", "SEN+SIM", "PAR+SIM"])
    without = load_inputs(tmp_path / "tables", study)
    object.__setattr__(without, "scores", inputs.scores[paired])
    assert not any("PAR" in s for s in score_cautions(without, "default", "SEN", some_checks()))

    def trained(**keys) -> list[str]:
        changed = study.model_copy(update={"training": study.training.model_copy(update=keys)})
        object.__setattr__(inputs, "study", changed)
        return [s[:8] for s in score_cautions(inputs, "default", "SEN", some_checks())[2:]]

    assert trained() == ["Its own ", "With PAR", "With SIM"]
    assert trained(trunk_tasks=("SEN", "SIM")) == ["Its own ", "With SIM"]
    assert trained(freeze_trunk=True) == ["Its own "]


def test_shares_are_whole_only_where_they_are():
    cases = {0.62: "62 %", 1.0: "100 %", 0.9968: "99.7 %", 0.042: "4.2 %", 0.0001: "under 0.1 %"}
    assert {part: share(part) for part in cases} == cases


def test_the_page_shows_them_first_and_in_the_data_section(tmp_path):
    study = make_study()
    inputs_of(tmp_path, study)
    path = tmp_path / "checks.json"
    path.write_text(pd.Series(some_checks()).to_json())
    page = build_report(
        tmp_path / "tables", no_figures(tmp_path / "f"), tmp_path / "r.html", study, path
    ).read_text("utf-8")
    first, _, rest = page.partition('aria-label="Contents"')
    for line in (CUT, UNKNOWN, OWN, PARTNER):
        assert line in first
        assert line in rest  # beside the task's scores, too
    assert "How the texts fit into the encoder" in rest
    assert "SEN: longer than 48 tokens, and so cut: 50.0% of train (30 rows)" in rest


def test_without_checks_or_study_nothing_is_told(tmp_path):
    inputs = inputs_of(tmp_path, make_study())
    assert score_cautions(inputs, "default", "SEN", {}) == []
    bare = load_inputs(tmp_path / "tables")
    assert score_cautions(bare, "default", "SEN", some_checks()) == []


def rows_of(*rows: tuple) -> pd.DataFrame:
    """Scores of SIM and SEN: task, group, combiner, seed, score, why it is undefined."""
    columns = ["task", "group", "combiner", "seed", "score", "undefined"]
    frame = pd.DataFrame(rows, columns=columns)
    metrics = frame["task"].map({"SIM": "pearson"}).fillna("accuracy")
    more = {"alpha": None, "variant": "default", "split": "dev", "epoch": 1.0, "run": "r"}
    return frame.assign(metric=metrics, alias_of=None, **more)


CONSTANT = "the predictions are constant, so Pearson's r is undefined"


def test_constant_predictions_are_said(tmp_path):
    study = make_study()
    scores = rows_of(
        *(("SIM", "SIM", "baseline", seed, None, CONSTANT) for seed in (1, 2)),
        *(("SIM", "SEN+SIM", "addition", seed, 0.3, None) for seed in (1, 2)),
        *(("SEN", "SEN", "baseline", seed, 0.5, None) for seed in (1, 2)),
        *(("SEN", "SEN+SIM", "addition", seed, 0.5 + seed / 50, None) for seed in (1, 2)),
    )
    inputs = inputs_of(tmp_path, study, scores)
    said = headline(inputs, "default")
    assert f"SIM cannot be compared: the baseline has no score: {CONSTANT}." in said
    card = next(card for card in cards(inputs, "default") if card.task == "SIM")
    assert CONSTANT in card.evidence
    page = build_report(
        tmp_path / "tables", no_figures(tmp_path / "f"), tmp_path / "r.html", study
    ).read_text("utf-8")
    assert "dev: alone, there is no score: the predictions are constant" in page


def test_a_seed_that_does_not_count_is_named(tmp_path):
    scores = rows_of(
        ("SIM", "SIM", "baseline", 1, 0.2, None),
        ("SIM", "SIM", "baseline", 2, None, CONSTANT),
        *(("SIM", "SEN+SIM", "addition", seed, 0.3, None) for seed in (1, 2)),
    )
    inputs = inputs_of(tmp_path, make_study(), scores)
    (card,) = cards(inputs, "default")
    assert any("seed 2: the baseline has no score" in fact for fact in card.facts)
    assert not any("run at least two seeds" in fact for fact in card.facts)
    assert "One seed was run" not in headline(inputs, "default")


@pytest.mark.parametrize("tasks", [["SEN"], ["SEN", "SIM"]])
def test_tasks_alone_have_scores_and_nothing_to_pair(tmp_path, tasks):
    rows = [(task, task, "baseline", seed, 0.5, None) for task in tasks for seed in (1, 2)]
    inputs = inputs_of(tmp_path, make_study(), rows_of(*rows))
    said = headline(inputs, "default")
    assert said.startswith(f"There is nothing to pair: {' and '.join(tasks)} w")
    assert "missing" not in said
    for card in cards(inputs, "default"):
        assert card.badge == "alone"
        assert any("0.500 on dev" in fact for fact in card.facts)


def test_a_task_without_any_score_was_not_selected_on_dev(tmp_path):
    scores = rows_of(
        ("SIM", "SIM", "baseline", 1, None, CONSTANT), ("SEN", "SEN", "baseline", 1, 0.5, None)
    )
    assert selected_on_dev(inputs_of(tmp_path, make_study(), scores), "default") == ["SEN"]

"""The command line: what it prints, and how it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from weightwise.analysis.score_files import COLUMNS
from weightwise.cli import app
from weightwise.published import published_path
from weightwise.tables import write_csv

ROOT = Path(__file__).parents[3]

runner = CliRunner()


def run(*arguments: str) -> subprocess.CompletedProcess:
    """The real program, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "weightwise", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_plan_counts_the_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    done = runner.invoke(app, ["plan", "config.yaml", "--results", str(tmp_path), "--runs"])
    assert done.exit_code == 0
    assert "72 runs, 0 done, 72 to do" in done.stdout
    assert "of one core (a blind guess" in done.stdout
    assert "Start it: snakemake; a target stands first: snakemake trained\n" in done.stdout
    assert "SEN+PAR/unitary-0.3/default/seed-2" in done.stdout


def said_by_plan(tmp_path, study: str, *sets: str) -> str:
    """What `weightwise plan` prints of a shipped study that is not prepared, on one line."""
    options = [part for one in sets for part in ("--set", one)]
    done = runner.invoke(app, ["plan", study, "--results", str(tmp_path), *options])
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


def minutes(said: str) -> float:
    """The cost that `plan` names, in minutes."""
    found = re.search(r"about (?:(\d+) h )?(\d+) min of one core", said)
    return 60 * int(found[1] or 0) + int(found[2])


@pytest.mark.parametrize(
    ("study", "least", "most"),
    # Measured on two cores: 24 minutes, 17, and 33.5 minutes of one core.
    [("bertram-small", 20, 100), ("simcse-small", 12, 70), (None, 15, 70)],
)
def test_the_blind_guess_of_shipped_studies_is_not_far_off(tmp_path, study, least, most):
    path = f"workflow/studies/{study}.yaml" if study else "config.yaml"
    assert least <= minutes(said_by_plan(tmp_path, path)) <= most


def test_the_blind_guess_reads_a_local_encoder_or_says_that_it_knows_none(tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
    source = f"encoder.source={{type: directory, path: {folder}}}"
    unknown = said_by_plan(tmp_path, "config.yaml", source, "encoder.layers=null")
    assert "an encoder as large as bert-base" in unknown
    (folder / "config.json").write_text(json.dumps(sizes))
    known = said_by_plan(tmp_path, "config.yaml", source, "encoder.layers=null")
    assert "bert-base" not in known
    assert minutes(known) == minutes(unknown)
    (folder / "config.json").write_text(json.dumps(sizes | {"num_hidden_layers": 6}))
    half = said_by_plan(tmp_path, "config.yaml", source, "encoder.layers=null")
    assert minutes(half) == pytest.approx(minutes(known) / 2, abs=1)


def test_plan_names_tasks_in_no_grouping(tmp_path):
    said = said_by_plan(tmp_path, "config.yaml", "groupings=[[SEN, SIM]]")
    assert "Warning: PAR: in no grouping, so it is neither trained nor scored" in said
    assert "Warning" not in said_by_plan(tmp_path, "config.yaml")


def test_analyse_gives_the_papers_figures(tmp_path):
    done = runner.invoke(
        app, ["analyse", str(published_path("pairing_absolute")), "--out", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    fits = pd.read_csv(tmp_path / "tables" / "regressions.csv")
    fits = fits[fits["variant"] == "appendix_b"].set_index(["task", "group"])["r_squared"]
    assert fits.round(3).to_dict() == {
        ("SEN", "SEN+PAR"): 0.644,
        ("SEN", "SEN+SIM"): 0.909,
        ("PAR", "SEN+PAR"): 0.939,
        ("PAR", "PAR+SIM"): 0.897,
        ("SIM", "SEN+SIM"): 0.802,
        ("SIM", "PAR+SIM"): 0.901,
    }
    assert "0.644" in done.stdout
    assert (tmp_path / "index.html").stat().st_size > 100_000


def test_csv_exports_hold_no_formulas(tmp_path):
    """Names come from anyone, and a spreadsheet takes what begins with = for a formula."""
    frame = pd.DataFrame({"task": ["=1+1", "@x", "-y", "ok"], "change": [-1.5, 2.0, -0.1, 0.0]})
    frame["alpha"] = ["-0.5", "+1", "0.4", None]
    write_csv(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "task,change,alpha",
        "'=1+1,-1.5,-0.5",
        "'@x,2.0,+1",
        "'-y,-0.1,0.4",
        "ok,0.0,",
    ]


def test_every_column_of_a_score_table_is_documented():
    page = (ROOT / "docs" / "analyse.md").read_text("utf-8")
    for name, holds in COLUMNS.items():
        assert f"| `{name}` | {holds} |" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "nowhere.yaml"), ["nowhere.yaml", "cannot be read"]),
        (("plan", "--set", "sedes=[1]"), ["unknown key 'sedes'", "'seeds'"]),
        (("analyse", "nowhere.csv", "--out", "x"), ["nowhere.csv"]),
        (("train", "SEN/baseline/default/seed-99"), ["has no run", "weightwise plan"]),
    ],
)
def test_what_is_wrong_is_one_line(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    for word in words:
        assert word in said
    assert "Traceback" not in done.stderr

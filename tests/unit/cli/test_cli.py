"""The command line: what it prints, and how it refuses."""

from __future__ import annotations

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

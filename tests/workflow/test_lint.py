"""`snakemake --lint`, but for the one advice that does not fit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The whole project runs in one pinned virtual environment, which the Makefile makes.
NOT_OURS = "Specify a conda environment or container for each rule."


def test_the_workflow_is_clean():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    titles = re.findall(r"^ {4}\* (.+?):?$", said, flags=re.MULTILINE)
    # Without it the lint has not read the rules, and an empty list would mean nothing.
    assert any(NOT_OURS in title for title in titles), said
    assert [title for title in titles if NOT_OURS not in title] == [], said

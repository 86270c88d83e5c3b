"""Every file of benchmarks/ imports; every script runs in its quick form and prints its rows."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from weightwise.combine import COMBINERS

ROOT = Path(__file__).resolve().parents[3]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
SCRIPTS = [path.stem for path in BENCHMARKS if "__main__" in path.read_text("utf-8")]


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch):
    """Scripts import the modules that lie beside them."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_imports(path):
    assert importlib.import_module(path.stem).__doc__


def quick(name: str, monkeypatch, capsys, *arguments: str) -> str:
    """What a script prints in its quick form."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", *arguments])
    importlib.import_module(name).main()
    return capsys.readouterr().out


def test_every_script_is_tried_here():
    assert SCRIPTS == ["combiners", "gradattention_quadratics", "smart"]


def test_the_cost_of_every_combiner(monkeypatch, capsys):
    pytest.importorskip("torchjd")
    said = quick("combiners", monkeypatch, capsys)
    rows = re.findall(r"^(.+?) +(\d+\.\d+) of addition \(quartiles", said, re.MULTILINE)
    ratios = {label: float(ratio) for label, ratio in rows}
    own = {n for n in COMBINERS if n != "baseline" and ":" not in n}
    rivals = {"pcgrad by torchjd", "pcgrad by the port"}
    assert own | rivals < set(ratios)
    assert ratios["addition"] == 1
    assert all(ratio > 0 for ratio in ratios.values())


def test_what_smart_costs(monkeypatch, capsys):
    said = quick("smart", monkeypatch, capsys)
    assert len(re.findall(r"^(both terms|smoothness alone|proximal alone): ", said, re.M)) == 3
    for task in ("MOOD", "NEAR"):
        assert len(re.findall(rf"^{task}: epsilon .* of the loss's$", said, re.M)) == 5


def test_gradattention_on_quadratics(monkeypatch, capsys):
    said = quick("gradattention_quadratics", monkeypatch, capsys)
    for arm in ("equal weights", "pcgrad", "gradattention"):
        assert len(re.findall(rf"^{arm} +rate .* reached 2 of 2", said, re.M)) == 2

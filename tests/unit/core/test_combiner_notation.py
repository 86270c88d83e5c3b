"""How a configuration names combiners, and what that does to runs, paths and code versions."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from core_helpers import make_study
from pydantic import ValidationError

from weightwise import code
from weightwise.code import code_version, training_modules
from weightwise.combine import COMBINERS, Combiner, make_combiner, path_label, read_combiner
from weightwise.combine.notation import read
from weightwise.errors import UserError
from weightwise.grid import Arm, Grid


@pytest.mark.parametrize(
    ("text", "canonical", "label"),
    [
        ("pcgrad", "pcgrad", "pcgrad"),
        (" cagrad ( c = .40 ) ", "cagrad", "cagrad"),
        ("cagrad(c=4e-1)", "cagrad", "cagrad"),
        ("cagrad()", "cagrad", "cagrad"),
        ("cagrad(c=0.50)", "cagrad(c=0.5)", "cagrad-c=0.5"),
        ("cagrad(c=1)", "cagrad(c=1)", "cagrad-c=1"),
        ("cagrad(c=1.0)", "cagrad(c=1)", "cagrad-c=1"),
        ("cagrad(c=-0.0)", "cagrad(c=0)", "cagrad-c=0"),
        ("torchjd:UPGrad", "torchjd:UPGrad", "torchjd-UPGrad"),
        (
            "torchjd:MGDA(max_iters=5,epsilon=1e-5)",
            "torchjd:MGDA(epsilon=1e-05, max_iters=5)",
            "torchjd-MGDA-epsilon=1e-05,max_iters=5",
        ),
        (
            "torchjd:AlignedMTL(scale_mode=rmse)",
            "torchjd:AlignedMTL(scale_mode=rmse)",
            "torchjd-AlignedMTL-scale_mode=rmse",
        ),
    ],
)
def test_one_text_and_one_label(text, canonical, label):
    named = read_combiner(text)
    assert named.text == canonical
    assert read_combiner(named.text) == named
    assert path_label(named.text) == label
    assert Arm(canonical, "0.4").label == f"{label}-0.4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cagard(c=0.4)", "unknown combiner 'cagard'; did you mean 'cagrad'?"),
        ("torchjd:UpGrad", "unknown combiner 'torchjd:UpGrad'; did you mean 'torchjd:UPGrad'?"),
        ("cagrad(d=1)", "combiner 'cagrad': unknown option 'd'; known: c"),
        ("torchjd:MGDA(epsilom=1)", "unknown option 'epsilom'; did you mean 'epsilon'?"),
        ("mgda(c=1)", "combiner 'mgda': unknown option 'c'; it has no options"),
        ("cagrad(c=-1)", "combiner 'cagrad': option c must be zero or more, but is -1"),
        ("cagrad(c=x)", "combiner 'cagrad': option c must be a finite number, but is x"),
        ("cagrad(c=true)", "option c must be a finite number, but is true"),
        ("cagrad(c=nan)", "option c must be a finite number, but is nan"),
        ("cagrad(c=1e999)", "option c must be a finite number, but is inf"),
        ("cagrad(c=0x10)", "option c: 0x10 is no number, true, false, null or plain word"),
        ("cagrad(c=1, c=2)", "option c is given twice"),
        ("cagrad(c)", "combiner 'cagrad': 'c' is not written as key=value"),
        ("cagrad(c=1", "'cagrad(c=1' is not written as NAME or NAME(key=value, ...)"),
        ("torchjd:MGDA(max_iters=2.5)", "option max_iters must be a whole number, but is 2.5"),
        ("torchjd:AlignedMTL(scale_mode=mean)", "must be min or median or rmse, but is mean"),
        ("baseline", "'baseline' is no combiner to choose"),
        ("", "unknown combiner ''"),
    ],
)
def test_refusals_name_combiner_and_option(tmp_path, text, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        make_study(tmp_path, combiners=["addition", text])


class Optional(Combiner):
    """One of every kind of option."""

    @dataclass(frozen=True)
    class Options:
        steps: int
        rate: float | None = None
        update: Literal["all", "sample"] = "all"
        quick: bool = False
        name: str = "x"


def test_every_kind_of_option():
    known = {"optional": Optional}
    named = read("optional(steps=3, rate=2, quick=true, update=sample, name=y_1)", known)
    assert named.options == Optional.Options(3, 2.0, "sample", True, "y_1")
    assert isinstance(named.options.rate, float)
    assert named.text == "optional(name=y_1, quick=true, rate=2, steps=3, update=sample)"
    assert read("optional(steps=3, rate=null)", known).text == "optional(steps=3)"
    with pytest.raises(ValueError, match=r"'optional' needs option steps: optional\(steps=…\)"):
        read("optional", known)
    with pytest.raises(ValueError, match="quick must be true or false, but is 1"):
        read("optional(steps=3, quick=1)", known)
    with pytest.raises(ValueError, match="rate must be a finite number or null, but is x"):
        read("optional(steps=3, rate=x)", known)


def test_options_at_their_default_are_the_same_arm(tmp_path):
    with pytest.raises(ValidationError, match="given twice: cagrad"):
        make_study(tmp_path, combiners=["cagrad", "cagrad(c=0.4)"])
    with pytest.raises(ValidationError, match="combiner 'pcgrad_alpha' needs `alphas`"):
        make_study(tmp_path, combiners=["pcgrad_alpha"], alphas=[])


ALL = [*sorted(set(COMBINERS) - {"baseline"}), "cagrad(c=0.5)", "cagrad(c=0.05)", "cagrad(c=5)"]


@pytest.fixture
def grid(tmp_path):
    """`grid(**keys)` -> the Grid of the tiny study with every combiner."""
    return lambda **keys: Grid(make_study(tmp_path, **({"combiners": ALL} | keys)))


def test_every_arm_has_a_path_of_its_own(grid):
    """Safe on any file system, whatever the case, and in Snakemake's wildcards and shells."""
    found = grid(groupings={"up_to": 3}, alphas=[0.3, 0.5])
    ids = [cell.id for cell in found.cells]
    assert len({i.lower() for i in ids}) == len(ids)
    for part in "/".join(ids).split("/"):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+.,=_-]*", part)
    for cell in found.cells:
        assert found.run(cell.id) == found.runs_as(cell)


def test_a_name_from_elsewhere_stays_what_it_is():
    assert path_label("PCGrad (ours), tuned") == "PCGrad (ours), tuned"


def test_weighted_combiners_spread_over_the_weights(grid):
    found = grid(groupings={"up_to": 3}, alphas=[0.3, 0.5], combiners=["pcgrad", "pcgrad_alpha"])
    labels = [arm.label for arm in found.arms(("SEN", "PAR"), "default")]
    assert labels == ["pcgrad", "pcgrad_alpha-0.3", "pcgrad_alpha-0.5"]
    triples = found.arms(("SEN", "PAR", "SIM"), "default")
    assert Arm("pcgrad_alpha", "0.25,0.25,0.5") in triples
    assert len(triples) == 1 + 3


def test_pcgrad_with_equal_weights_runs_as_pcgrad(grid):
    keys = {
        "alphas": [0.3, 0.5],
        "groupings": {"up_to": 3},
        "simplex_step": 0.2,
        "training": {"epsilon": 1e-8},
    }
    found = grid(combiners=["pcgrad", "pcgrad_alpha", "addition"], **keys)
    shared = {c.arm: found.runs_as(c).arm for c in found.cells if found.runs_as(c) != c}
    assert shared == {Arm("pcgrad_alpha", "0.5"): Arm("pcgrad")}
    for other in ({"combiners": ["pcgrad_alpha", "addition"]}, {"training": {"epsilon": 1e-6}}):
        own = grid(**({"combiners": ["pcgrad", "pcgrad_alpha"]} | keys | other))
        assert own.runs == own.cells


def test_definition_tells_options_apart(grid):
    found = grid()
    pairs = [c for c in found.runs if c.group == ("SEN", "PAR")]
    definitions = {c.arm.combiner: found.definition(c) for c in pairs}
    assert definitions["pcgrad"]["combiner"] == "pcgrad"
    assert definitions["cagrad(c=0.5)"]["combiner"] == "cagrad(c=0.5)"
    assert len({found.fingerprint(c) for c in pairs}) == len(pairs)


def imported(path) -> set[str]:
    """Files of the package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("weightwise."):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name.startswith("weightwise.")}
    files = {name.partition(".")[2].replace(".", "/") + ".py" for name in names}
    return {file for file in files if (code.PACKAGE / file).exists()}


@pytest.mark.parametrize("text", ALL)
def test_everything_that_a_combiner_imports_is_behind_its_runs(text):
    """What a message says decides no weights, so errors.py is not among it."""
    modules = {str(p.relative_to(code.PACKAGE)) for p in training_modules(text)}
    own = COMBINERS[read_combiner(text).name].__module__.partition(".")[2].replace(".", "/")
    assert f"{own}.py" in modules
    combining = {m for m in modules if m.startswith("combine/")}
    for module in combining:
        assert (code.PACKAGE / module).exists()
        assert imported(code.PACKAGE / module) <= modules | {"errors.py"}, module


def test_code_version_is_that_of_the_combiner_not_of_its_options():
    assert code_version("cagrad(c=0.5)") == code_version("cagrad")
    assert code_version("cagrad") != code_version("mgda")


def test_torchjd_that_is_not_there_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keys):
        if name.split(".")[0] == "torchjd":
            raise ModuleNotFoundError("No module named 'torchjd'")
        return real(name, *arguments, **keys)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"'torchjd:MGDA' needs .* pip install \"weightwise\[tor"):
        make_combiner("torchjd:MGDA", None, np.random.default_rng(0))
    assert read_combiner("torchjd:MGDA").name == "torchjd:MGDA"


def test_torchjd_of_another_version_is_said(monkeypatch):
    from torchjd import aggregation

    monkeypatch.delattr(aggregation, "IMTLGWeighting")
    with pytest.raises(UserError, match=r"'torchjd:IMTLG': torchjd \d[\d.]* has no such weighting"):
        make_combiner("torchjd:IMTLG", None, np.random.default_rng(0))


def test_solver_that_is_not_there_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None)
    assert importlib.util.find_spec("torchjd")
    with pytest.raises(UserError, match=r"combiner 'torchjd:UPGrad': .*quadprog"):
        make_combiner("torchjd:UPGrad", None, np.random.default_rng(0))

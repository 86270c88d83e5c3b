"""What every combiner does with zero, parallel and opposite gradients, one task and many: the table
of docs/combiners.md, row by row."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from combiner_inputs import weights_of

from weightwise.combine import COMBINERS, Combiner, read_combiner
from weightwise.errors import UserError

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "combiners.md"
A = np.array([3.0, 0.0, 4.0])
B = np.array([1.0, 2.0, 2.0])
# What reads more than the Gramian has tests of its own (test_gradattention.py).
OURS = sorted(n for n, kind in COMBINERS.items() if ":" not in n and not kind.reads_gradients)
THEIRS = sorted(name for name in COMBINERS if ":" in name)


def answer(name: str, *gradients: np.ndarray) -> np.ndarray:
    """Weights of a combiner whose needs are installed, at weights 0.3 and 0.7."""
    alphas = {1: (1.0,), 2: (0.3, 0.7)}.get(len(gradients), (1 / len(gradients),) * len(gradients))
    try:
        return weights_of(name, np.array(gradients), alphas=alphas)
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [*OURS, *THEIRS])
def test_one_task_keeps_its_gradient(name):
    assert answer(name, A) == pytest.approx([1.0])


@pytest.mark.parametrize("name", [*OURS, *THEIRS])
@pytest.mark.parametrize("tasks", [2, 3, 6])
def test_weights_are_finite_whatever_the_gradients(name, tasks):
    random = np.random.default_rng(tasks)
    plain = random.normal(size=(tasks, 4))
    cases = {
        "all zero": 0 * plain,
        "one zero": plain * (np.arange(tasks) > 0)[:, None],
        "all equal": np.tile(A, (tasks, 1)),
        "parallel": np.outer(np.arange(1, tasks + 1), A),
        "opposite": np.outer((-1.0) ** np.arange(tasks), A),
        "tiny beside huge": plain * 10.0 ** np.linspace(-5, 5, tasks)[:, None],
        "square underflows": plain * 1e-170,
    }
    for case, gradients in cases.items():
        if name == "torchjd:FairGrad" and case != "parallel":
            continue  # its equation has no solution where gradients vanish or cancel
        assert np.isfinite(answer(name, *gradients)).all(), case


@pytest.mark.parametrize(
    ("name", "zero_first", "parallel", "opposite", "scale"),
    [
        ("addition", [1, 1], [1, 1], [1, 1], 2),
        ("unitary", [0.3, 0.7], [0.3, 0.7], [0.3, 0.7], 1),
        ("pcgrad", [1, 1], [1, 1], [2, 2], 2),
        ("pcgrad_alpha", [0.3, 0.7], [0.3, 0.7], [0.3 + 0.7, 0.3 + 0.7], 1),
        ("mgda", [1, 0], [1, 0], [0.5, 0.5], 1),
        ("cagrad", [0.5, 0.5], [0.5 + 0.4 * 1.5, 0.5], [0.5, 0.5], 1.4),
        ("imtl_g", [0, 1], [2 / 3, 1 / 3], [0, 0], 1),
        ("upgrad", [0.5, 0.5], [0.5, 0.5], [1, 1], 1),
    ],
)
def test_table_of_edge_cases(name, zero_first, parallel, opposite, scale):
    """A zero gradient beside B, A beside 2 A, A beside -A, and B twice: the update's length is
    `scale` times B's."""
    assert answer(name, 0 * B, B) == pytest.approx(zero_first)
    assert answer(name, A, 2 * A) == pytest.approx(parallel)
    assert answer(name, A, -A) == pytest.approx(opposite)
    assert answer(name, B, B).sum() == pytest.approx(scale)


@pytest.mark.parametrize("name", sorted({*OURS} - {"random", "pcgrad", "pcgrad_alpha"}))
def test_order_of_the_tasks_does_not_matter(name):
    """Three tasks in another order get the same weights; those left out draw by their places."""
    gradients = np.array([[1.0, 0.2, 0], [-0.8, 0.7, 0.1], [-0.3, -0.9, 0.4]])
    turned = answer(name, *gradients[[2, 0, 1]])
    assert turned == pytest.approx(answer(name, *gradients)[[2, 0, 1]])


def test_every_combiner_is_documented():
    text = DOCUMENT.read_text("utf-8")
    for name, kind in COMBINERS.items():
        if name != "baseline":
            assert f"\n| `{name}` |" in text, f"docs/combiners.md has no row of '{name}'"
        assert kind.__doc__, name
        assert kind.title, name
        for option in kind.Options.__dataclass_fields__:
            assert f"`{option}`" in text, f"docs/combiners.md does not tell of {name}({option})"


def test_the_worked_example_works(monkeypatch):
    """The file that docs/combiners.md shows is one, and its line makes it known."""
    (source,) = re.findall(r"```python\n(\"\"\".*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    example: dict = {"__name__": "weightwise.combine.inverse_norm"}
    monkeypatch.setitem(sys.modules, example["__name__"], ModuleType("inverse_norm"))
    exec(compile(source, "docs/combiners.md", "exec", dont_inherit=True), example)
    sys.modules[example["__name__"]].__dict__.update(example)
    (kind,) = [
        v
        for v in example.values()
        if isinstance(v, type) and v is not Combiner and issubclass(v, Combiner)
    ]
    monkeypatch.setitem(COMBINERS, "inverse_norm", kind)
    assert read_combiner("inverse_norm(floor=0.01)").text == "inverse_norm(floor=0.01)"
    weights = answer("inverse_norm(floor=0.5)", A, 3 * A)
    assert weights == pytest.approx([1 / 5.5 / 2, 1 / 15.5 / 2])
    with pytest.raises(ValueError, match="'inverse_norm': option floor must be above zero"):
        read_combiner("inverse_norm(floor=0)")

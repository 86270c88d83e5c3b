"""The interface of the Gramian family: weights = combiner(gramian, losses)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


class Combiner:
    """Turns the Gramian of the task gradients into the weights of the update sum_k w_k g_k.

    Subclasses implement `__call__`; what they remember from step to step is part of `state`, so
    that a run that was stopped goes on as if it had not been. A combiner whose weights never depend
    on gradients sets `fixed`: the engine then needs no separate gradients and gets weights by
    `fixed_weights`. The weights of fixed combiners apply to the heads, too; all others leave a head
    its own gradient.

    What a combiner can be told is a field of its `Options`; the configuration writes
    `NAME(key=value)` (`combine/notation.py`).
    """

    title: ClassVar[str] = ""
    """How figures and report call it; empty: by its name in the registry."""

    fixed: ClassVar[bool] = False
    """True: weights are known without gradients. `fixed_weights` is asked once in every step."""

    weighted: ClassVar[bool] = False
    """True: its arms are spread over the study's alphas (pairs) or the simplex (larger groupings),
    and every arm has `weights`."""

    equal_weights_as: ClassVar[str | None] = None
    """For `weighted`: the combiner that it is, up to the scale of the update, at equal weights.
    Under AdamW without clipping that is one method, which is run once."""

    reads_gradients: ClassVar[bool] = False
    """True: `__call__` takes a third argument, the task gradients on the trunk's `coordinates`."""

    extra_modules: ClassVar[tuple[str, ...]] = ()
    """Source files of the package, as `combine/attention.py`, that decide its weights beside its
    own file and those of its base classes: a change in them makes its runs due."""

    @dataclass(frozen=True)
    class Options:
        """A combiner's own options, none here.

        Fields are int, float, bool, str, Literal or one of these or None; ranges are checked in
        `__post_init__`, whose ValueError names the option in plain words.
        """

    def __init__(
        self,
        weights: tuple[float, ...] | None,
        generator: np.random.Generator,
        options: Any = None,
    ):
        """Args: the arm's weights (None where it has none); this run's generator; options (None:
        the defaults)."""
        self.weights = weights
        self.generator = generator
        self.options = self.Options() if options is None else options

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K] (float64) of the update.

        Args:
            gramian: [K, K] float64, G_ij = g_i . g_j over the trunk's parameters; finite, which the
                engine checks.
            losses: [K], the tasks' losses in this step.
        """
        raise NotImplementedError

    def fixed_weights(self, tasks: int) -> np.ndarray:
        """Weights [K] of a `fixed` combiner for the step that comes."""
        raise NotImplementedError

    def simplex_weights(self, tasks: int) -> np.ndarray:
        """The arm's own weights [K] of a `weighted` combiner.

        Raises:
            ValueError: they are not `tasks` non-negative numbers that sum to one.
        """
        weights = np.asarray(self.weights if self.weights is not None else [], dtype=np.float64)
        if len(weights) != tasks or (weights < 0).any() or abs(weights.sum() - 1) > 1e-9:
            raise ValueError(
                f"{type(self).__name__}: weights {self.weights} are no simplex of {tasks} tasks; "
                "give one weight of zero or more per task, 1 in all"
            )
        return weights

    def coordinates(self, size: int) -> np.ndarray:
        """For `reads_gradients`: the coordinates [m] (int64, ascending) of the trunk's `size`
        parameters on which the engine reads every task's gradient; the same in every step."""
        raise NotImplementedError

    def sampler(self) -> Callable[[int], np.ndarray] | None:
        """For a combiner that moves only a part of the trunk in each step: gives, for a tensor of n
        parameters, the places in it (int64, ascending) that move in this step. None: all move."""
        return None

    def state(self) -> dict[str, Any]:
        """Everything that later steps depend on: JSON values and NumPy arrays, by name."""
        return {"generator": self.generator.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            KeyError, TypeError, ValueError: it is no state of this combiner.
        """
        self.generator.bit_generator.state = state["generator"]

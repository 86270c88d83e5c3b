"""Weightings of the package torchjd as combiners: `torchjd:NAME` (Quinton and Rey 2024 and others).

torchjd is an optional extra. It is imported when a run with such a combiner begins, never for a
configuration or a grid; which names there are is therefore written down here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from weightwise.combine.base import Combiner
from weightwise.errors import UserError

EXTRA = "torchjd"


class TorchJD(Combiner):
    """A weighting of torchjd asked for the weights of a Gramian [K, K] in float64.

    torchjd draws from torch's global generator. Before every step of a weighting that is `random`
    the global one is set aside and seeded by a draw from this run's generator; afterwards it is put
    back as it was. A single task has weight one without being asked about.
    """

    weighting: ClassVar[str]
    """Name of the class in `torchjd.aggregation`."""
    random: ClassVar[bool] = False

    def __init__(
        self,
        weights: tuple[float, ...] | None,
        generator: np.random.Generator,
        options: Any = None,
    ):
        """Args: as for every combiner.

        Raises:
            UserError: torchjd, or a package that this weighting needs, is not installed, or the
                installed version does not have it.
        """
        super().__init__(weights, generator, options)
        self._weighting = self._build()

    def _build(self) -> Any:
        name = self.title
        try:
            from torchjd import aggregation
        except ImportError:
            raise UserError(
                f"combiner '{name}' needs the package torchjd; "
                f'install it: pip install "weightwise[{EXTRA}]"'
            ) from None
        try:
            return getattr(aggregation, self.weighting)(**asdict(self.options))
        except ImportError as error:  # optional packages of torchjd's own
            raise UserError(f"combiner '{name}': {error}") from None
        except (AttributeError, TypeError):
            from importlib.metadata import version

            raise UserError(
                f"combiner '{name}': torchjd {version('torchjd')} has no such weighting with "
                f'these options; install the one that fits: pip install "weightwise[{EXTRA}]"'
            ) from None

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K] as torchjd gives them.

        Raises:
            FloatingPointError: they are not finite.
        """
        import torch

        if len(gramian) == 1:
            return np.ones(1)
        given = torch.from_numpy(np.ascontiguousarray(gramian))
        with torch.random.fork_rng(devices=[], enabled=self.random):
            if self.random:
                # This generator alone: torch.manual_seed would reseed every accelerator, too.
                torch.default_generator.manual_seed(int(self.generator.integers(2**63 - 1)))
            weights = self._weighting(given).numpy().astype(np.float64)
        if not np.isfinite(weights).all():
            raise FloatingPointError(f"combiner '{self.title}' gave weights {weights.tolist()}")
        return weights


class AlignedMTL(TorchJD):
    """Aligned-MTL (Senushkin et al. 2023): gradients rotated until they are orthogonal. A mean."""

    title = "torchjd:AlignedMTL"
    weighting = "AlignedMTLWeighting"

    @dataclass(frozen=True)
    class Options:
        """`scale_mode`: the eigenvalue that all are brought to."""

        scale_mode: Literal["min", "median", "rmse"] = "min"


class CAGrad(TorchJD):
    """CAGrad as torchjd solves it; ours is `cagrad`."""

    title = "torchjd:CAGrad"
    weighting = "CAGradWeighting"

    @dataclass(frozen=True)
    class Options:
        """`c`: radius of the ball around the mean gradient, in lengths of it."""

        c: float = 0.4

        def __post_init__(self) -> None:
            if self.c < 0:
                raise ValueError(f"option c must be zero or more, but is {self.c:g}")


class DualProj(TorchJD):
    """The mean gradient projected onto the dual cone (Lopez-Paz and Ranzato 2017, GEM)."""

    title = "torchjd:DualProj"
    weighting = "DualProjWeighting"


class FairGrad(TorchJD):
    """FairGrad (Ban and Ji 2024): alpha-fair shares; alpha = 1 is Nash-MTL's bargain."""

    title = "torchjd:FairGrad"
    weighting = "FairGradWeighting"

    @dataclass(frozen=True)
    class Options:
        """`alpha`: the kind of fairness; 0 the mean, 1 proportional, larger ones nearer max-min."""

        alpha: float = 1.0

        def __post_init__(self) -> None:
            if self.alpha < 0:
                raise ValueError(f"option alpha must be zero or more, but is {self.alpha:g}")


class GradVac(TorchJD):
    """Gradient Vaccine (Wang et al. 2021): cosines are raised to their moving average. A sum."""

    title = "torchjd:GradVac"
    weighting = "GradVacWeighting"
    random = True

    @dataclass(frozen=True)
    class Options:
        """`beta`: decay of the moving average of the cosines."""

        beta: float = 0.5

        def __post_init__(self) -> None:
            if not 0 <= self.beta <= 1:
                raise ValueError(f"option beta must be from 0 to 1, but is {self.beta:g}")

    def state(self) -> dict[str, Any]:
        """The generator and the moving average of the cosines [K, K]; before the first step there
        is none."""
        average = self._weighting._phi_t
        return super().state() | {"cosines": None if average is None else average.numpy().copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        import torch

        super().restore(state)
        self._weighting.reset()
        if state["cosines"] is not None:
            average = torch.from_numpy(np.array(state["cosines"], dtype=np.float64))
            self._weighting._phi_t = average
            self._weighting._state_key = (len(average), average.dtype)


class IMTLG(TorchJD):
    """IMTL-G as torchjd generalises it; ours is `imtl_g`."""

    title = "torchjd:IMTLG"
    weighting = "IMTLGWeighting"


class MGDA(TorchJD):
    """MGDA by Frank-Wolfe steps; ours, exact, is `mgda`."""

    title = "torchjd:MGDA"
    weighting = "MGDAWeighting"

    @dataclass(frozen=True)
    class Options:
        """`epsilon`: step size below which it stops; `max_iters`: steps after which it stops."""

        epsilon: float = 0.001
        max_iters: int = 100

        def __post_init__(self) -> None:
            if self.epsilon <= 0:
                raise ValueError(f"option epsilon must be above zero, but is {self.epsilon:g}")
            if self.max_iters < 1:
                raise ValueError(f"option max_iters must be at least 1, but is {self.max_iters}")


class PCGrad(TorchJD):
    """PCGrad as torchjd computes it; ours is `pcgrad`."""

    title = "torchjd:PCGrad"
    weighting = "PCGradWeighting"
    random = True


class UPGrad(TorchJD):
    """UPGrad as torchjd solves it; ours is `upgrad`."""

    title = "torchjd:UPGrad"
    weighting = "UPGradWeighting"


WEIGHTINGS: dict[str, type[Combiner]] = {
    kind.title: kind
    for kind in (AlignedMTL, CAGrad, DualProj, FairGrad, GradVac, IMTLG, MGDA, PCGrad, UPGrad)
}

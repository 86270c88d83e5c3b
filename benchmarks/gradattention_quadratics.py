"""Does GradAttention need fewer steps? Conflicting, unequally noisy quadratics.

    python benchmarks/gradattention_quadratics.py [--seeds 20] [--optimiser sgd adam] [--quick]

K = 3 tasks in 60 dimensions, L_k(x) = (x - c_k)' A_k (x - c_k) / 2: curvatures from 0.03 to 1 in
directions of their own, optima that differ, and gradients with noise of a standard deviation of
0.05, 0.3 and 1 per coordinate. Counted are the steps until the noiseless sum of the losses has come
within a share of the way to its minimum: one that equal weights reach in every seed. Every arm has
its learning rate tuned on seeds of its own (fewest steps on average, a failure counts as the
limit); GradAttention, which sees whole gradients, has that of its attention tuned with it, and so
three times as many tries as the others. The table goes into docs/benchmarks.md as it is.
`--quick` tries one rate and measures two seeds: seconds, and figures that say nothing.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import numpy as np
import scipy.stats
import torch

from weightwise.combine import COMBINERS

TASKS, SIZE = 3, 60
NOISE = np.array([0.05, 0.3, 1.0])
CURVATURES = np.geomspace(0.03, 1.0, SIZE)
APART = 0.3
SHARE = 0.05
LIMIT = 800
RATES = {
    "sgd": [0.045, 0.07, 0.1, 0.15, 0.22, 0.33, 0.5, 0.75, 1.1],
    "adam": [0.018, 0.027, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3],
}
ARMS = {"equal weights": "addition", "pcgrad": "pcgrad", "gradattention": "gradattention"}
ATTENTION_RATES = (1e-3, 3e-3, 1e-2)
TUNING = range(1000, 1004)


@dataclass
class Problem:
    """Curvatures [K, n, n], optima [K, n], and the generator of the gradients' noise."""

    curvatures: np.ndarray
    optima: np.ndarray
    noise: np.random.Generator

    @classmethod
    def draw(cls, seed: int) -> Problem:
        """The problem of a seed; the same for every arm, its noise too."""
        generator = np.random.default_rng([7, seed])
        turned = []
        for _ in range(TASKS):
            rotation, _ = np.linalg.qr(generator.standard_normal((SIZE, SIZE)))
            turned.append(rotation * CURVATURES @ rotation.T)
        centre = generator.standard_normal(SIZE)
        optima = centre + APART * generator.standard_normal((TASKS, SIZE))
        return cls(np.array(turned), optima, np.random.default_rng([8, seed]))

    def losses(self, x: np.ndarray) -> np.ndarray:
        """Noiseless losses [K]."""
        offsets = x - self.optima
        return 0.5 * np.einsum("ki,kij,kj->k", offsets, self.curvatures, offsets)

    def gradients(self, x: np.ndarray) -> np.ndarray:
        """Noisy gradients [K, n]."""
        exact = np.einsum("kij,kj->ki", self.curvatures, x - self.optima)
        return exact + NOISE[:, None] * self.noise.standard_normal((TASKS, SIZE))

    def minimum(self) -> float:
        """Smallest sum of the losses."""
        pulls = np.einsum("kij,kj->i", self.curvatures, self.optima)
        return float(self.losses(np.linalg.solve(self.curvatures.sum(axis=0), pulls)).sum())


def settings(arm: str, optimiser: str) -> list[tuple[float, float | None]]:
    """Learning rates to try, each with one of the attention where the arm has one."""
    inner = ATTENTION_RATES if arm == "gradattention" else (None,)
    return list(itertools.product(RATES[optimiser], inner))


def steps_to_target(
    arm: str, seed: int, optimiser: str, rate: float, attention_rate: float | None
) -> int:
    """Steps until the excess loss is SHARE of the first; LIMIT + 1 if it never is.

    The updates have the scale of a mean (sum-like combiners are divided by K), so that rates mean
    the same in every arm.
    """
    problem = Problem.draw(seed)
    kind = COMBINERS[ARMS[arm]]
    own = None if attention_rate is None else kind.Options(learning_rate=attention_rate)
    combiner = kind(None, np.random.default_rng([9, seed]), own)
    scale = 1.0 if combiner.reads_gradients else 1.0 / TASKS
    x, first, second = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE)
    lowest = problem.minimum()
    target = SHARE * (problem.losses(x).sum() - lowest)
    for step in range(1, LIMIT + 1):
        gradients = problem.gradients(x)
        seen = (gradients[:, combiner.coordinates(SIZE)],) if combiner.reads_gradients else ()
        weights = combiner(gradients @ gradients.T, problem.losses(x), *seen)
        update = scale * weights @ gradients
        if optimiser == "adam":
            first += 0.1 * (update - first)
            second += 0.001 * (update**2 - second)
            corrected = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            update = first / (1 - 0.9**step) / corrected
        x = x - rate * update
        excess = problem.losses(x).sum() - lowest
        if not np.isfinite(excess) or excess > 1e12:
            return LIMIT + 1
        if excess <= target:
            return step
    return LIMIT + 1


def main() -> None:
    """Tune, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--optimiser", nargs="*", default=list(RATES), choices=list(RATES))
    parser.add_argument("--quick", action="store_true", help="seconds: one rate, two seeds")
    options = parser.parse_args()
    if options.quick:
        options.seeds = 2
    torch.set_num_threads(1)
    for optimiser in options.optimiser:
        print(f"{optimiser}: steps until the excess loss is {SHARE:.0%} of the first")
        found = {}
        for arm in ARMS:
            tried = settings(arm, optimiser)
            if options.quick:
                tried = tried[len(tried) // 2 :][:1]
            tuned = {
                setting: np.mean([steps_to_target(arm, s, optimiser, *setting) for s in TUNING])
                for setting in tried
            }
            best = min(tuned, key=tuned.__getitem__)
            steps = found[arm] = np.array(
                [steps_to_target(arm, s, optimiser, *best) for s in range(options.seeds)]
            )
            rate = "/".join(f"{value:g}" for value in best if value is not None)
            text = (
                f"{arm:14s} rate {rate:11s} median {np.median(steps):6.1f}, "
                f"mean {steps.mean():6.1f}, reached {np.sum(steps <= LIMIT)} of {len(steps)}"
            )
            if arm != "equal weights":
                change = 100 * (steps / found["equal weights"] - 1)
                error = change.std(ddof=1) / np.sqrt(len(change))
                half = scipy.stats.t.ppf(0.975, len(change) - 1) * error
                text += f"; against equal weights {change.mean():+.1f} % (95 % +-{half:.1f})"
            print(text, flush=True)


if __name__ == "__main__":
    main()

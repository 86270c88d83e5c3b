"""Cost of a step with every combiner as a ratio to addition, alternating in one process.

    python benchmarks/combiners.py [--study config.yaml] [--group SEN+SIM] [--rounds 60] [--quick]

Needs the study's prepared data (`weightwise prepare CONFIG`); `--quick` needs nothing and says
nothing (benchmarks/setting.py). Every round gives all arms the same batches, in random order, so
that they share the machine's moods and nobody always follows the same arm; before it, an untimed
step meets these batches, since libraries compile a kernel for every new size. Quote the ratios, not
milliseconds. On a CPU the time is the process's own, so that other processes count less; on a GPU
it is the clock's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from rivals import Port, Rival, TorchJD
from setting import REFERENCE, opened, parser
from weightwise.combine import COMBINERS, Combiner
from weightwise.combine.gradattention import GradAttention
from weightwise.data.batches import make_batch
from weightwise.grid import Cell
from weightwise.model.linear import set_product_dtype
from weightwise.seeding import numpy_generator
from weightwise.train.engine import Engine
from weightwise.train.inputs import Prepared
from weightwise.train.loop import _dropout_generators, _optimiser
from weightwise.train.schedule import batches_of_epoch, examples_of_epoch

WARM = 3


class Stepper:
    """One model with its way of computing gradients and its optimiser, ready to take steps."""

    def __init__(
        self,
        prepared: Prepared,
        run: Cell,
        build: Callable[..., Combiner] | type[Rival],
        record: bool = False,
    ):
        """Args: the study's data; which run; builds the combiner, or a rival; record each step."""
        self.inputs = prepared.inputs(run)
        model = prepared.model(run)
        set_product_dtype(model.encoder, self.inputs.bf16)
        noise = _dropout_generators(self.inputs)
        generator = numpy_generator(self.inputs.study_seed, self.inputs.seed, "combiner")
        if isinstance(build, type) and issubclass(build, Rival):
            self.engine: Engine | Rival = build(model, noise)
            combiner = COMBINERS[REFERENCE](None, generator)  # for the optimiser alone
        else:
            weights = (1 / len(run.group),) * len(run.group)
            combiner = build(weights, generator)
            self.engine = Engine(model, combiner, noise, record_every=int(record))
        self.optimiser = _optimiser(model, self.inputs, combiner)

    def step(self, batches: dict) -> float:
        """Seconds of one whole step."""
        cuda = self.inputs.device.type == "cuda"
        now = time.perf_counter if cuda else time.process_time
        started = now()
        self.engine.step(batches)
        self.optimiser.step()
        self.optimiser.zero()
        if cuda:
            torch.cuda.synchronize(self.inputs.device)
        return now() - started


def arms() -> dict[str, dict]:
    """Every combiner of our own, some variants, and the rivals, by label: arguments of Stepper."""

    def sampled(weights, generator):
        return GradAttention(weights, generator, GradAttention.Options(update="sample"))

    made = {n: {"build": kind} for n, kind in COMBINERS.items() if n != "baseline" and ":" not in n}
    made["gradattention(update=sample)"] = {"build": sampled}
    for name in (REFERENCE, "pcgrad"):
        made[f"{name}, every step recorded"] = {"build": COMBINERS[name], "record": True}
    return made | {"pcgrad by torchjd": {"build": TorchJD}, "pcgrad by the port": {"build": Port}}


def measure(steppers: dict[str, Stepper], group: tuple[str, ...], rounds: int) -> dict:
    """Seconds of every arm in every round after the first few."""
    inputs = steppers[REFERENCE].inputs
    size = inputs.training.batch_size
    orders = {
        task: list(
            batches_of_epoch(
                examples_of_epoch(task, len(inputs.train[task]), size * rounds, 1, 0, 1), size
            )
        )
        for task in group
    }
    seconds: dict[str, list[float]] = {label: [] for label in steppers}
    labels, shuffled = list(steppers), np.random.default_rng(0)
    for number in range(rounds):
        batches = {
            task: make_batch(inputs.train[task], orders[task][number], inputs.framing[task]).to(
                inputs.device
            )
            for task in group
        }
        steppers[REFERENCE].step(batches)
        for k in shuffled.permutation(len(labels)):
            label = labels[k]
            value = steppers[label].step(batches)
            if number >= WARM:
                seconds[label].append(value)
    return seconds


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--only", nargs="*", help="labels; addition is always among them")
    options = arguments.parse_args()
    chosen = {
        n: a for n, a in arms().items() if not options.only or n in [REFERENCE, *options.only]
    }
    with opened(options) as (prepared, run):
        steppers = {label: Stepper(prepared, run, **arm) for label, arm in chosen.items()}
        seconds = measure(steppers, run.group, options.rounds)
        every = prepared.study.training.record_every
    inputs = steppers[REFERENCE].inputs
    print(
        f"{options.group}, batch {inputs.training.batch_size} each, "
        f"{options.rounds - WARM} rounds, {'bf16' if inputs.bf16 else 'fp32'} on {inputs.device}; "
        f"addition {1000 * statistics.median(seconds[REFERENCE]):.1f} ms"
    )
    for label, values in seconds.items():
        ratios = [a / b for a, b in zip(values, seconds[REFERENCE], strict=True)]
        lower, middle, upper = statistics.quantiles(ratios, n=4)
        print(f"{label:32s} {middle:.3f} of addition (quartiles {lower:.3f} to {upper:.3f})")
    for name in (REFERENCE, "pcgrad"):
        label = f"{name}, every step recorded"
        if every and label in seconds and name in seconds:
            ratios = [a / b for a, b in zip(seconds[label], seconds[name], strict=True)]
            extra = (statistics.median(ratios) - 1) / every
            print(f"recording {name} in every {every}th step costs {extra:.2%} on average")


if __name__ == "__main__":
    main()

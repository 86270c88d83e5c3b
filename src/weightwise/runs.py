"""The state of a study's runs, from files alone: keys, records, failures. Imports no torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from weightwise.config import StudyConfig
from weightwise.data import tokens
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.grid import Cell, Grid
from weightwise.layout import Layout
from weightwise.store import RunStore, run_key
from weightwise.train.schedule import epoch_lengths, steps_of_epoch


class StudyRuns:
    """What is known of every run of a prepared study."""

    def __init__(self, study: StudyConfig, layout: Layout):
        """Args: the study; where its files lie.

        Raises:
            UserError: the data are not prepared.
        """
        self.study = study
        self.layout = layout
        self.grid = Grid(study)
        self.store = RunStore(layout.store)
        missing = [str(p) for p in (layout.checks, layout.encoder) if not p.exists()]
        if missing:
            raise UserError(
                f"{', '.join(missing)}: not there; prepare the data first (`weightwise prepare`, "
                "or `snakemake`)"
            )
        self._keys: dict[Cell, str] = {}
        self.facts = {task: tokens.facts(layout.tokens(task)) for task in study.tasks}

    @cached_property
    def _encoder(self) -> dict[str, str]:
        facts = read_json(self.layout.checks)["encoder"]
        return {k: v for k, v in facts.items() if k.endswith("sha256")}

    def epoch_lengths(self, run: Cell) -> dict[str, int]:
        """Examples of each of the run's tasks in an epoch; the whole study's data decide them."""
        training = self.grid.training(run.variant)
        sizes = {task: facts["rows"]["train"] for task, facts in self.facts.items()}
        lengths = epoch_lengths(training.schedule, sizes, training.examples_per_epoch)
        return {task: lengths[task] for task in run.group}

    def steps_of_epoch(self, run: Cell) -> int:
        """Steps of an epoch of the run."""
        keys = self.grid.training(run.variant)
        lengths = self.epoch_lengths(run)
        return steps_of_epoch(keys.schedule, lengths, keys.batch_size, keys.epoch_surgery)

    def key(self, run: Cell) -> str:
        """The run's key in the store."""
        if run not in self._keys:
            self._keys[run] = run_key(
                self.grid.definition(run),
                {task: self.facts[task]["checksum"] for task in run.group},
                self._encoder,
                self.epoch_lengths(run),
            )
        return self._keys[run]

    def record(self, run: Cell) -> dict | None:
        """`run.json` of a finished run; None where it is not finished."""
        return self.store.record(self.key(run))

    def folder(self, run: Cell) -> Path:
        """Folder of a run's tables in the store."""
        return self.store.folder(self.key(run))

    def log(self, run: Cell) -> Path:
        """Log of a run."""
        return self.layout.log(run, self.grid.fingerprint(run))

    def failed(self, run: Cell) -> Path:
        """Where the note of a failed run lies."""
        return self.layout.failed(run, self.grid.fingerprint(run))

    def failure(self, run: Cell) -> dict | None:
        """The note of a run that failed and has not succeeded since."""
        note = read_json(self.failed(run))
        return note if isinstance(note, dict) else None

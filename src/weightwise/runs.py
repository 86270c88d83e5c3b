"""The state of a study's runs, from files alone: keys, records, failures. Imports no torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from weightwise.config import StudyConfig
from weightwise.config.stages import chain_of
from weightwise.data import tokens
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.grid import Cell, Grid
from weightwise.layout import Layout
from weightwise.stages.definition import stage_definition
from weightwise.store import RunStore, run_key, stage_key
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
        self.stage_store = RunStore(layout.stage_store, "stage.json")
        missing = [str(p) for p in (layout.checks, layout.encoder) if not p.exists()]
        if missing:
            raise UserError(
                f"{', '.join(missing)}: not there; prepare the data first (`weightwise prepare`, "
                "or `snakemake`)"
            )
        self._keys: dict[Cell, str] = {}
        self._stage_keys: dict[str, str] = {}
        self.facts = {task: tokens.facts(layout.tokens(task)) for task in study.tasks}

    @cached_property
    def _encoder(self) -> dict[str, str]:
        facts = read_json(self.layout.checks)["encoder"]
        return {k: v for k, v in facts.items() if k.endswith("sha256")}

    def epoch_lengths(self, run: Cell) -> dict[str, int]:
        """Examples of each of the run's tasks in an epoch; the whole study's data decide them."""
        training = self.grid.training(run.variant)
        most = training.train_rows or {}
        sizes = {
            task: min(facts["rows"]["train"], most.get(task, facts["rows"]["train"]))
            for task, facts in self.facts.items()
        }
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
            training = self.grid.training(run.variant)
            start = {} if training.start is None else {"stage": self.stage_key(training.start)}
            self._keys[run] = run_key(
                self.grid.definition(run),
                {task: self.facts[task]["checksum"] for task in run.group},
                self._encoder | start,
                self.epoch_lengths(run),
            )
        return self._keys[run]

    def stage_key(self, name: str) -> str:
        """A stage's key in the store.

        Raises:
            UserError: its texts are not prepared.
        """
        if name not in self._stage_keys:
            chain = chain_of(self.study.stages, name)
            data = [tokens.facts(self.layout.stage_tokens(one))["checksum"] for one in chain]
            definition = stage_definition(self.study, name)
            self._stage_keys[name] = stage_key(definition, data, self._encoder)
        return self._stage_keys[name]

    def stage_record(self, name: str) -> dict | None:
        """`stage.json` of a finished stage, with what the marker says of this study's tasks; None
        where the stage is not finished."""
        record = self.stage_store.record(self.stage_key(name))
        marker = read_json(self.layout.stage_done(name, self.grid.stage_fingerprint(name)))
        known = isinstance(marker, dict) and record and marker.get("key") == record["key"]
        return record and record | {"similarity": marker["similarity"] if known else {}}

    def stage_records(self) -> dict[str, dict | None]:
        """`stage_record` of every stage that some run starts from, by name."""
        return {name: self.stage_record(name) for name in self.grid.stages}

    def stage_failure(self, name: str) -> dict | None:
        """The note of a stage that failed and has not succeeded since."""
        mark = self.grid.stage_fingerprint(name)
        note = read_json(self.layout.stage_file("failed", name, mark))
        return note if isinstance(note, dict) else None

    def encoder_after(self, stage: str | None) -> tuple[Path, int | tuple[int, ...] | None]:
        """The checkpoint folder that a stage leaves (None: the study's own), and the layers to keep
        of it.

        Raises:
            UserError: the stage is not finished.
        """
        if stage is None:
            return self.layout.encoder, self.study.encoder.layers
        key = self.stage_key(stage)
        if self.stage_store.record(key) is None:
            raise UserError(
                f"stage '{stage}', from whose encoder this starts, is not finished "
                f"({self.stage_store.folder(key)}); compute it first: `snakemake`, or "
                f"`python -m weightwise.stages {stage} --study FILE`"
            )
        return self.stage_store.folder(key) / "encoder", None

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

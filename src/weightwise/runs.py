"""The state of a study's runs, from files alone: keys, records, failures. Imports no torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from weightwise.code import code_version, packages
from weightwise.config import StudyConfig
from weightwise.data import token_facts as tokens
from weightwise.data.prepared import find
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.grid import Cell, Grid
from weightwise.identity.machine import Arithmetic, here, possible
from weightwise.identity.run import layers_of, settled
from weightwise.identity.versions import versions
from weightwise.layout import Layout
from weightwise.stages.definition import settled_stage, stage_definition
from weightwise.store import RunStore, run_key, stage_key
from weightwise.train.schedule import epoch_lengths, steps_of_epoch


class StudyRuns:
    """What is known of every run of a prepared study."""

    def __init__(self, study: StudyConfig, layout: Layout):
        """Args: the study; where its files lie.

        Raises:
            NotPrepared: the data that it asks for are not there; it names what those that are there
                were prepared with instead.
        """
        self.study = study
        self.layout = find(study, layout)
        self.grid = Grid(study)
        self.store = RunStore(layout.store)
        self.stage_store = RunStore(layout.stage_store, "stage.json")
        self._keys: dict[tuple, str] = {}
        self._stage_keys: dict[tuple, str] = {}
        self.facts = {task: tokens.facts(self.layout.tokens(task)) for task in study.tasks}

    @cached_property
    def _encoder(self) -> dict[str, str]:
        facts = read_json(self.layout.checks)["encoder"]
        return {k: v for k, v in facts.items() if k.endswith("sha256")}

    @cached_property
    def _layers(self) -> int | None:
        return layers_of(self.layout.encoder)

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
        """The run's key in the store if it is trained on this machine.

        Raises:
            UserError: the texts of the stage that it starts from are not prepared.
        """
        training = self.grid.training(run.variant)
        return self._key(run, here(training.precision, training.device), self._stage_of(run))

    def keys(self, run: Cell) -> tuple[str, ...]:
        """The run's keys on all machines that the configuration leaves room for: `precision: auto`
        and `device: auto`, its own and its stage's, mean different things on different ones. That
        of this machine comes first.

        Raises:
            UserError: see `key`.
        """
        training = self.grid.training(run.variant)
        start = training.start
        stages = (None,) if start is None else self.stage_keys(start)
        found = [self.key(run)]
        for one in possible(training.precision, training.device):
            found += [self._key(run, one, stage) for stage in stages]
        return tuple(dict.fromkeys(found))

    def finished_key(self, run: Cell) -> str | None:
        """The key under which the store has the run: the one that its marker names, wherever it was
        trained, else this machine's; None where the store has neither.

        A marker is believed only where it names one of `keys`.
        """
        marker = read_json(self.layout.done(run, self.grid.fingerprint(run)))
        named = marker.get("key") if isinstance(marker, dict) else None
        own = self.key(run)
        if named not in (None, own) and named in self.keys(run) and self.store.record(named):
            return named
        return own if self.store.record(own) else None

    def stage_key(self, name: str) -> str:
        """A stage's key in the store if it is computed on this machine.

        Raises:
            UserError: its texts are not prepared.
        """
        return self._stage_key(name, self._stage_here(name), self._stage_before(name))

    def stage_keys(self, name: str) -> tuple[str, ...]:
        """A stage's keys on all machines, this machine's first; see `keys`."""
        stage = self.study.stages[name]
        before = (None,) if stage.after is None else self.stage_keys(stage.after)
        found = [self.stage_key(name)]
        for one in possible(stage.precision, self.study.training.device):
            found += [self._stage_key(name, one, key) for key in before]
        return tuple(dict.fromkeys(found))

    def finished_stage_key(self, name: str) -> str | None:
        """The key under which the store has a stage; see `finished_key`."""
        marker = read_json(self.layout.stage_done(name, self.grid.stage_fingerprint(name)))
        named = marker.get("key") if isinstance(marker, dict) else None
        own = self.stage_key(name)
        if named == own or named not in self.stage_keys(name):
            named = None
        if named is not None and self.stage_store.record(named):
            return named
        return own if self.stage_store.record(own) else None

    def _key(self, run: Cell, arithmetic: Arithmetic, stage: str | None) -> str:
        place = (run, arithmetic, stage)
        if place not in self._keys:
            combiners = self.grid.combiners(run)
            rows = {task: self.facts[task]["rows"]["train"] for task in run.group}
            self._keys[place] = run_key(
                settled(
                    self.grid.definition(run),
                    arithmetic,
                    rows,
                    self.epoch_lengths(run),
                    self._layers,
                ),
                {task: self.facts[task]["checksum"] for task in run.group},
                self._encoder | ({} if stage is None else {"stage": stage}),
                code_version(*combiners),
                versions(packages(*combiners)),
            )
        return self._keys[place]

    def _stage_of(self, run: Cell) -> str | None:
        """The key of the stage that a run would start from here and now."""
        start = self.grid.training(run.variant).start
        return None if start is None else self.finished_stage_key(start) or self.stage_key(start)

    def _stage_key(self, name: str, arithmetic: Arithmetic, before: str | None) -> str:
        place = (name, arithmetic, before)
        if place not in self._stage_keys:
            data = tokens.facts(self.layout.stage_tokens(name))["checksum"]
            encoder = self._encoder if before is None else {"stage": before}
            definition = stage_definition(self.study, name)
            definition = settled_stage(definition, arithmetic, self._layers)
            self._stage_keys[place] = stage_key(definition, data, encoder)
        return self._stage_keys[place]

    def _stage_here(self, name: str) -> Arithmetic:
        return here(self.study.stages[name].precision, self.study.training.device)

    def _stage_before(self, name: str) -> str | None:
        before = self.study.stages[name].after
        return None if before is None else self.finished_stage_key(before) or self.stage_key(before)

    def stage_record(self, name: str) -> dict | None:
        """`stage.json` of a finished stage, with what the marker says of this study's tasks; None
        where the stage is not finished."""
        key = self.finished_stage_key(name)
        record = None if key is None else self.stage_store.record(key)
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
        key = self.finished_stage_key(stage)
        if key is None:
            missing = self.stage_store.folder(self.stage_key(stage))
            raise UserError(
                f"stage '{stage}', from whose encoder this starts, is not finished "
                f"({missing}); compute it first: `snakemake`, or "
                f"`python -m weightwise.stages {stage} --study FILE`"
            )
        return self.stage_store.folder(key) / "encoder", None

    def record(self, run: Cell) -> dict | None:
        """`run.json` of a finished run; None where it is not finished."""
        key = self.finished_key(run)
        return None if key is None else self.store.record(key)

    def folder(self, run: Cell) -> Path:
        """Folder of a run's tables in the store; of one that is not finished where they would be if
        it were trained here."""
        return self.store.folder(self.finished_key(run) or self.key(run))

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

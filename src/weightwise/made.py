"""What the tables, figures and report of a study were made of, so that old ones are known as such.

Each of the four steps leaves a note: the digest of what it was asked for (configuration, runs,
data, code), the checksum of the note of the step before it, and those of its own files. Dates
decide nothing. Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from weightwise.code import PACKAGE
from weightwise.errors import UserError
from weightwise.files import away, bring_back, locked, put_away, read_json, write_json
from weightwise.grid import Cell, digest
from weightwise.identity.imports import Imports
from weightwise.layout import Layout
from weightwise.runs import StudyRuns
from weightwise.seal import changed_file, file_sha256

Step = Literal["collect", "tables", "figures", "report"]
STEPS: tuple[Step, ...] = ("collect", "tables", "figures", "report")
SCORES = "scores"
COLLECTED = (SCORES, "runs", "costs")
CODE: dict[Step, tuple[str, ...]] = {
    "collect": ("collect.py", "tables/*.py", "analysis/conflicts.py", "analysis/cost_ratios.py"),
    "tables": ("collect.py", "tables/*.py", "analysis/*.py"),
    "figures": ("figures/*.py",),
    "report": ("report/*.py", "report/templates/*", "published/*"),
}
"""Source files behind each step."""
DECIDES_NOTHING = {
    "extends",
    "data_dir",
    "runs_per_job",
    "runs_side_by_side",
    "checkpoint_minutes",
}
"""Keys of a study that no table shows."""
TOLD_LATER = {"title", "licence", "id"}
"""Keys of a task, as `report` is one of the study, that the collected scores have nothing of."""


class Note(BaseModel):
    """What a step leaves.

    `of`: digest of what it was asked for; `runs`: digest of the keys of the runs that `collect`
    found finished; `before`: checksum of the note of the step before it; `complete`: nothing was
    missing; `files`: checksums by path relative to the study's folder.
    """

    of: str
    runs: str | None
    before: str | None
    complete: bool
    files: dict[str, str]


class Made:
    """The notes of a study's steps."""

    def __init__(self, runs: StudyRuns, finished: Mapping[Cell, str | None] | None = None):
        """Start with nothing read.

        Args:
            runs: the study's, its data prepared.
            finished: `runs.finished_key` of every run, where it is known already.
        """
        self.runs = runs
        self.layout = runs.layout
        self._finished = finished

    def _keys(self) -> list[str | None]:
        known = self._finished
        if known is None:
            known = {run: self.runs.finished_key(run) for run in self.runs.grid.runs}
        return [known[run] for run in self.runs.grid.runs]

    @cached_property
    def _base(self) -> list:
        """What every step is asked for."""
        study, runs = self.runs.study, self.runs
        keys = study.model_dump(mode="json", exclude=DECIDES_NOTHING | {"report", "tasks"})
        tasks = [[n, t.model_dump(mode="json", exclude=TOLD_LATER)] for n, t in study.tasks.items()]
        cells = [cell.id for cell in runs.grid.cells]
        fingerprints = [runs.grid.fingerprint(run) for run in runs.grid.runs]
        return [digest([keys, tasks, cells, fingerprints]), runs.layout.data.name]

    @cached_property
    def _told(self) -> list:
        """What all steps but the first one are asked for beside that."""
        study = self.runs.study
        tasks = {n: t.model_dump(mode="json", include=TOLD_LATER) for n, t in study.tasks.items()}
        return [study.report.model_dump(mode="json"), tasks]

    def asked(self, step: Step) -> str:
        """Digest of everything that decides a step's files beside the step before it."""
        told = [] if step == "collect" else self._told
        return digest([step, self._base, told, code_of(step)])

    def note(self, step: Step) -> Note | None:
        """What the step left; None where that is missing or broken."""
        try:
            return Note.model_validate(read_json(self.layout.made(step)))
        except ValidationError:
            return None

    def old(self) -> tuple[Step, str] | None:
        """The first step whose files are not what is asked for, and why; None: all are, or there
        are none."""
        for step in STEPS:
            moved = bring_back(self.layout.made(step))
            if not self.layout.made(step).exists():
                continue
            why = self._wrong(step, moved)
            if why:
                return why
        return None

    def forget_old(self) -> str | None:
        """Put the notes of steps away whose files are not what is asked for, and of those after
        them.

        Returns:
            Which ones and why, in words; None: none had to go.
        """
        why = self.old()
        if why is None:
            return None
        forget(self.layout, why[0])
        return f"{why[0]}: {why[1]}"

    def _wrong(self, step: Step, moved: bool) -> tuple[Step, str] | None:
        note = self.note(step)
        if note is None:
            return step, "its note is damaged"
        if note.of != self.asked(step):
            return step, "made of other runs, data, settings or code"
        if step == "collect" and note.runs != digest(self._keys()):
            return step, "other runs are finished now"
        if not note.complete:
            return step, "made when runs were missing"
        if note.before != self._before(step):
            return step, "made of other tables"
        files = {name: one for name, one in note.files.items() if Path(name).stem != SCORES}
        changed = changed_file(self.layout.root, files, self.layout.made(step), moved)
        if changed is not None:
            return step, f"{self.layout.root / changed} is gone or damaged"
        if step == "collect" and not self._scores_are_whole(note):
            return step, f"{self.layout.tables / SCORES}.parquet is gone or damaged"
        return None

    def _scores_are_whole(self, note: Note) -> bool:
        """Whether the scores are as `collect` left them, or as the analysis did, which writes them
        again in its own order."""
        path = self.layout.tables / f"{SCORES}.parquet"
        tables = self.layout.made("tables")
        notes = [note.model_dump(), read_json(tables), read_json(away(tables))]
        place = Path(os.path.relpath(path, self.layout.root)).as_posix()
        known = {one["files"].get(place) for one in notes if isinstance(one, dict)}
        with suppress(OSError):
            return file_sha256(path) in known
        return False

    def _before(self, step: Step) -> str | None:
        number = STEPS.index(step)
        if number == 0:
            return None
        with suppress(OSError):
            return file_sha256(self.layout.made(STEPS[number - 1]))
        return None

    @contextmanager
    def making(self, step: Step, partial: bool = False) -> Iterator[None]:
        """Make a step's files inside; its note is gone meanwhile, and a second process waits.

        Args:
            step: which.
            partial: what is made says that something is missing.

        Raises:
            UserError: the files that it rests on are of other runs, data, settings or code.
        """
        with locked(self.layout.root, "tables"):
            if step != "collect":
                self._refuse_old(STEPS[STEPS.index(step) - 1], step)
            self.layout.made(step).unlink(missing_ok=True)
            yield
            keys = self._keys() if step == "collect" else None
            note = Note(
                of=self.asked(step),
                runs=None if keys is None else digest(keys),
                before=self._before(step),
                complete=not partial and self._complete(step, keys),
                files={
                    Path(os.path.relpath(path, self.layout.root)).as_posix(): file_sha256(path)
                    for path in self._files(step)
                },
            )
            write_json(self.layout.made(step), note.model_dump())

    def _refuse_old(self, before: Step, step: Step) -> None:
        note = self.note(before)
        if note is None or note.of != self.asked(before):
            what = "are not there" if note is None else "are of other runs, data, settings or code"
            raise UserError(
                f"{self.layout.root}: what `weightwise {step}` rests on, the files of `weightwise "
                f"{before}`, {what}; run `weightwise {before}` first, or `snakemake`"
            )

    def _complete(self, step: Step, keys: list[str | None] | None) -> bool:
        if keys is not None:
            return all(keys)
        if step == "report" and not all(self.runs.stage_records().values()):
            return False
        note = self.note(STEPS[STEPS.index(step) - 1])
        return note is not None and note.complete

    def _files(self, step: Step) -> Iterable[Path]:
        tables = sorted(self.layout.tables.glob("*.parquet"))
        return {
            "collect": [path for path in tables if path.stem in COLLECTED],
            "tables": [p for p in tables if p.stem not in COLLECTED or p.stem == SCORES],
            "figures": sorted(p for p in self.layout.figures.rglob("*") if p.is_file()),
            "report": [self.layout.report],
        }[step]


def forget(layout: Layout, first: Step = "collect") -> None:
    """Put the notes of a step and of those after it away: they are due then."""
    for step in STEPS[STEPS.index(first) :]:
        put_away(layout.made(step))


def code_of(step: Step) -> str:
    """Digest of the code of a step; comments and docstrings of Python files do not count."""
    paths = sorted({p for pattern in CODE[step] for p in PACKAGE.glob(pattern) if p.is_file()})
    python = [p.relative_to(PACKAGE).as_posix() for p in paths if p.suffix == ".py"]
    others = [p for p in paths if p.suffix not in (".py", ".pyc")]
    return digest([_sources().digest(python), [[p.name, file_sha256(p)] for p in others]])


@cache
def _sources() -> Imports:
    return Imports(PACKAGE)

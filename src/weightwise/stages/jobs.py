"""What the Snakefile needs to know of a study's stages. Imports no torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from weightwise.config.stages import chain_of
from weightwise.grid import Grid
from weightwise.layout import Layout


class StageJobs:
    """Markers of a study's stages, and what depends on them."""

    def __init__(self, grid: Grid, layout: Layout):
        """Args: the study's runs; where its files lie."""
        self.grid = grid
        self.layout = layout
        self.configured = grid.study.stages

    @property
    def markers(self) -> list[Path]:
        """Markers of the stages that some run starts from, by whatever chain."""
        return [self._marker(name) for name in self.grid.stages]

    def before(self, name: str) -> list[Path]:
        """Marker of the stage that a stage starts from, if it starts from one."""
        before = self.configured[name].after
        return [] if before is None else [self._marker(before)]

    def starts(self, marker: str | Path) -> list[Path]:
        """Markers of the stages that lead to the run of a marker; a change in any makes it due."""
        return self._starts.get(str(marker), [])

    def notes(self) -> list[tuple[Path, Path]]:
        """Where the notes of failed stages and their signs of life lie."""
        marks = [(name, self.grid.stage_fingerprint(name)) for name in self.grid.stages]
        place = self.layout.stage_file
        return [(place("failed", *one), place("running", *one)) for one in marks]

    @cached_property
    def _starts(self) -> dict[str, list[Path]]:
        if not self.grid.stages:
            return {}
        found = {}
        for run in self.grid.runs:
            start = self.grid.training(run.variant).start
            chain = () if start is None else chain_of(self.configured, start)
            marker = self.layout.done(run, self.grid.fingerprint(run))
            found[str(marker)] = [self._marker(name) for name in chain]
        return found

    def _marker(self, name: str) -> Path:
        return self.layout.stage_done(name, self.grid.stage_fingerprint(name))

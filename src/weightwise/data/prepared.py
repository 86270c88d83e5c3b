"""Which prepared data a study asks for, and whether they are there. Imports no torch, no pandas.

The one place that decides it: whatever reads prepared data gets their folders from `find`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from weightwise.config import StudyConfig
from weightwise.data.definition import (
    configuration,
    data_definition,
    data_digest,
    differences,
)
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.layout import Layout
from weightwise.seal import changed_file

RECORD = "checks.json"
GIVEN = "WEIGHTWISE_DATA"
"""Environment variable of a workflow's jobs: the digest of the data that the workflow works on, so
that all of them take the same, and none needs the sources."""
NAMED = 3
"""Most differences that a message names."""
REMEDY = "prepare the data first: `snakemake`, or `weightwise prepare`"


class NotPrepared(UserError):
    """The data that a study asks for are not there."""


class EncoderFacts(BaseModel):
    """Of the prepared encoder: its folder's name in the store and its files' checksums."""

    model_config = ConfigDict(extra="allow")
    folder: str
    checksums: dict[str, str]


class PreparedRecord(BaseModel):
    """What `checks.json` must have beside its facts."""

    model_config = ConfigDict(extra="allow")
    definition: dict[str, Any]
    files: dict[str, str]
    encoder: EncoderFacts


@dataclass(frozen=True)
class Asked:
    """The data that a study asks for: what decides them, and their name in the store."""

    definition: dict[str, Any]
    digest: str


def asked(study: StudyConfig, layout: Layout) -> Asked:
    """The data that a study asks for, prepared or not."""
    definition = data_definition(study, layout.source_checksums)
    return Asked(definition, data_digest(definition))


def find(study: StudyConfig, layout: Layout) -> Layout:
    """The study's layout with its prepared data.

    Raises:
        NotPrepared: they are not there, or damaged; it names what those that are there were
            prepared with instead.
    """
    given = os.environ.get(GIVEN)
    if given:
        record = read_record(layout, given)
        if record is not None and record.definition["configuration"] == configuration(study):
            found = entry(layout, given)
            if isinstance(found, Layout):
                return found
    wanted = asked(study, layout)
    found = entry(layout, wanted.digest)
    if isinstance(found, Layout):
        return found
    if found is not None:
        raise NotPrepared(f"study '{study.name}': {found}; {REMEDY}")
    raise NotPrepared(f"study '{study.name}': {why_not(layout, wanted)}; {REMEDY}")


def refuse_others(digest: str) -> None:
    """Refuse data that are not those of the workflow whose job this is.

    Raises:
        UserError: a source, or the study's file, was changed since the workflow started.
    """
    if os.environ.get(GIVEN, digest) != digest:
        raise UserError(
            "the study's file or a source was changed since this command started; start it again"
        )


def read_record(layout: Layout, digest: str) -> PreparedRecord | None:
    """What `checks.json` of prepared data says; None where it is missing or broken."""
    try:
        return PreparedRecord.model_validate(read_json(layout.data_store / digest / RECORD))
    except ValidationError:
        return None


def entry(layout: Layout, digest: str) -> Layout | str | None:
    """The layout with the prepared data of that digest; words where they are damaged; None where
    there are none."""
    record = read_record(layout, digest)
    if record is None:
        return None
    folder = layout.data_store / digest
    encoder = layout.encoder_store / record.encoder.folder
    for place, files in ((folder, record.files), (encoder, record.encoder.checksums)):
        changed = changed_file(place, files, folder / RECORD)
        if changed is not None:
            return f"{place / changed} is gone or damaged"
    return layout.with_data(folder, encoder)


def why_not(layout: Layout, wanted: Asked) -> str:
    """What the most similar of the data that are there were prepared with, in words."""
    found = []
    for path in layout.data_store.glob(f"*/{RECORD}"):
        record = read_record(layout, path.parent.name)
        if record is not None:
            told = differences(record.definition, wanted.definition)
            found.append((len(told), -_age(path), told))
    if not found:
        return "its data are not prepared"
    told = min(found)[2]
    more = f" (and {len(told) - NAMED} more)" if len(told) > NAMED else ""
    others = "; ".join(told[:NAMED])
    return f"its data are not prepared; those that are were prepared with {others}{more}"


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

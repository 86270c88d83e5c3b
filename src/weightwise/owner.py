"""Which file a study of some name comes from: two of one name would write over each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from weightwise.config import load_study
from weightwise.errors import UserError
from weightwise.files import read_json, write_json
from weightwise.layout import Layout


def refuse_second_file(layout: Layout, file: Path, overrides: Sequence[str]) -> None:
    """Refuse a study whose results belong to another file of the same name.

    A file that is gone, or has another name by now, owns nothing, so a study may be moved and
    copied; the note goes by the way from the results to the file, so that both may be moved.

    Args:
        layout: where the study's files lie.
        file: the study's file.
        overrides: `key=value` that it was opened with.

    Raises:
        UserError: the other file exists and still has this name.
    """
    note = read_json(layout.owner)
    if not isinstance(note, dict) or not isinstance(note.get("study"), str):
        return
    other = layout.root.absolute() / note["study"]
    try:
        if other.samefile(file):
            return
        theirs = load_study(other, [str(one) for one in note.get("set") or []]).name
    except (OSError, UserError, TypeError, ValueError):
        return
    if theirs == layout.study:
        raise UserError(
            f"{file}: the results of study '{layout.study}' in {layout.root} belong to "
            f"{os.path.normpath(os.path.relpath(other))}, which has the same `name`; give one of "
            "them another name"
        )


def own(layout: Layout, file: Path, overrides: Sequence[str]) -> None:
    """Note that the results of the study belong to this file."""
    named = [one for one in overrides if one.partition("=")[0].strip() == "name"]
    note = {"study": os.path.relpath(file.resolve(), layout.root.resolve()), "set": named}
    if read_json(layout.owner) != note:
        write_json(layout.owner, note)


def claim(layout: Layout, file: str | Path, overrides: Sequence[str]) -> None:
    """Refuse a second file of the study's name, else note this one: for a command by hand. The jobs
    of a workflow leave that to the workflow, which may see the file under another path.

    Raises:
        UserError: the results belong to another file.
    """
    if "WEIGHTWISE_SNAKEMAKE" not in os.environ:
        refuse_second_file(layout, Path(file), overrides)
        own(layout, Path(file), overrides)

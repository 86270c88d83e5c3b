"""From a folder of tables to a folder of SVG files and their index."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from weightwise.config import StudyConfig
from weightwise.config.report import ReportConfig
from weightwise.figures import KINDS, style
from weightwise.figures.drawing import Drawing
from weightwise.figures.inputs import Inputs, load_inputs
from weightwise.figures.svg import to_svg
from weightwise.files import replacing, write_json

FIGURES: dict[str, Callable[[Inputs], Iterator[Drawing]]] = {
    kind: importlib.import_module(f"weightwise.figures.{kind}").draw for kind in KINDS
}


def build_figures(
    tables_dir: str | Path,
    out_dir: str | Path,
    study: StudyConfig | None = None,
    report: ReportConfig | None = None,
) -> list[dict[str, Any]]:
    """Draw every figure that the tables allow.

    Args:
        tables_dir: folder of the study's Parquet tables.
        out_dir: folder for `<kind>/<id>.svg` (a folder for every kind, be it empty) and
            `index.json`; figures of an earlier call are removed.
        study: gives task titles, class names and the confidence; None for a bare score table.
        report: the confidence, where there is no study.

    Returns:
        The index: one record per figure with id, kind, file, title, caption, alt, task, group,
        variant, split, the keys of the runs behind it, and the letters that are not drawn but left
        to the fonts of whoever opens it.
    """
    inputs = load_inputs(tables_dir, study, report)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    with style.theme():
        for kind, draw in FIGURES.items():
            (folder / kind).mkdir(exist_ok=True)
            for drawing in draw(inputs):
                name = f"{kind}/{drawing.id}.svg"
                svg, letters = to_svg(drawing.figure)
                with replacing(folder / name) as temporary:
                    temporary.write_bytes(svg)
                index.append(_record(kind, name, drawing) | {"letters": letters})
    _forget_others(folder, {record["file"] for record in index})
    write_json(folder / "index.json", index)
    return index


def _record(kind: str, name: str, drawing: Drawing) -> dict[str, Any]:
    return {
        "id": drawing.id,
        "kind": kind,
        "file": name,
        "title": drawing.title,
        "caption": drawing.caption,
        "alt": drawing.alt,
        "task": drawing.task,
        "group": drawing.group,
        "variant": drawing.variant,
        "split": drawing.split,
        "runs": drawing.runs,
    }


def _forget_others(folder: Path, keep: set[str]) -> None:
    """A figure that the tables no longer give must not linger beside the new ones."""
    for kind in FIGURES:
        for path in (folder / kind).glob("*.svg"):
            if f"{kind}/{path.name}" not in keep:
                path.unlink()

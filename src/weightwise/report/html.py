"""The building blocks of the page: tables as data, images as data URIs, the template engine."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Cell:
    """A cell: a text, a smaller second line, a look (`gain`, `loss`, `muted`, ...), a width.

    The look `foreign` is for texts of the data; see `foreign.text_cell`.
    """

    text: str
    sub: str = ""
    look: str = ""
    span: int = 1


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first cell of every row is that row's heading."""

    caption: str
    head: list[list[Cell]]
    rows: list[list[Cell]]
    note: str = ""
    numeric: bool = True
    stacked: bool = False
    """The smaller lines stand below their cells' texts, for tables of many columns."""

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True)
class Figure:
    """A figure of the index, with its image inline."""

    id: str
    title: str
    caption: str
    alt: str
    source: Markup
    width: int
    runs: list[str] = field(default_factory=list)


def cells(texts: Sequence[object]) -> list[Cell]:
    """Plain cells."""
    return [text if isinstance(text, Cell) else Cell(str(text)) for text in texts]


def table(
    caption: str,
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    note: str = "",
    numeric: bool = True,
    stacked: bool = False,
) -> Table:
    """A table with one line of headings."""
    return Table(caption, [cells(head)], [cells(row) for row in rows], note, numeric, stacked)


def svg_source(path: Path) -> Markup:
    """An SVG file as a data URI for an attribute in double quotes.

    Percent-encoding is a fifth smaller than base64 here. Every character that HTML or a URI could
    take for its own is encoded, so the result is safe as it stands.
    """
    text = path.read_text("utf-8").strip().replace('"', "'")
    return Markup("data:image/svg+xml," + urllib.parse.quote(text, safe=" '=:/;,()+*!@$?-._~"))


def render(context: dict[str, Any]) -> str:
    """The page. Every text is escaped; a name that a template expects and lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ord"] = ord
    css = (TEMPLATES / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    page = environment.get_template("page.html.j2")
    # The one text that is not escaped is our own style sheet, and the policy names its hash.
    return page.render(context, css=Markup(css), css_hash=digest)

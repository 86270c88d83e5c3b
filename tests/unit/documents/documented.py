"""What README.md, CONTRIBUTING.md and docs/*.md tell a reader to type: commands, YAML, Python,
links, each with the line where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
PROGRAMS = (
    *("weightwise", "snakemake", "python", "pip", "make", "git", "cp", "ln", "."),
    *("sbatch", "squeue", "sacct", "sinfo", "scancel"),
)
"""First words of commands. One of them alone is a name, not a command, but for `ALONE`."""
ALONE = ("snakemake",)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclass(frozen=True)
class Piece:
    """A piece of a document.

    Attributes:
        text: what stands there.
        where: document and line.
        kind: language of a fenced block ("" if it has none), or "inline".
    """

    text: str
    where: str
    kind: str


def blocks(document: Path) -> Iterator[Piece]:
    """The fenced blocks of a document."""
    text = document.read_text("utf-8")
    for found in FENCE.finditer(text):
        yield Piece(found[2], _where(document, text, found.start()), found[1])


def spans(document: Path) -> Iterator[Piece]:
    """The inline code of a document, white space made single."""
    text = document.read_text("utf-8")
    # Blocks become blank lines, so that lines keep their numbers.
    plain = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for found in SPAN.finditer(plain):
        yield Piece(" ".join(found[1].split()), _where(document, plain, found.start()), "inline")


def commands() -> Iterator[Piece]:
    """Every command of every document."""
    for document in DOCUMENTS:
        for piece in spans(document):
            if _is_command(piece.text):
                yield piece
        for block in blocks(document):
            if block.kind not in ("", "bash", "sh", "console"):
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                text = " ".join(line.partition(" # ")[0].removeprefix("$ ").split())
                if _is_command(text):
                    yield Piece(text, block.where, block.kind)


def links(document: Path) -> Iterator[tuple[str, str]]:
    """Relative links of a document: (target, fragment or "")."""
    text = FENCE.sub("", document.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, fragment = target.partition("#")
            yield path, fragment


def anchors(document: Path) -> set[str]:
    """The fragments that a document's headings answer to."""
    text = FENCE.sub("", document.read_text("utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def _is_command(text: str) -> bool:
    first, _, rest = text.partition(" ")
    return first in PROGRAMS and (bool(rest) or first in ALONE)


def _where(document: Path, text: str, position: int) -> str:
    return f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, position) + 1}"

"""A figure as SVG: the same bytes for the same figure, and as few of them as is easily had."""

from __future__ import annotations

import io
import re

from matplotlib.figure import Figure

# A report holds dozens of figures, each with hundreds of glyphs; matplotlib writes for debugging.
_LEAVE_OUT = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<g id=\"[^\"]*\"/>",
    re.DOTALL,
)
_PATH = re.compile(r'(?<= d=")[^"]*')
_STYLE = re.compile(r'(?<= style=")[^"]*')
_PLACE = re.compile(r"(?<=translate\()[^)]*")
_LONG = re.compile(r"(-?\d+\.\d\d)\d+")
_AROUND_COMMAND = re.compile(r"\s*([A-Za-z])\s*")
_GLYPH = re.compile(r"(?<=[\"#])DejaVuSans-")
_OUTLINE = re.compile(r' d="([^"]*)" transform="scale\(0\.015625\)"')
# Matplotlib draws glyphs at 64 units to the pixel of a 100-pixel font; 8 are plenty.
COARSER = 8
_USE = re.compile(r'<use xlink:href="(#[^"]+)" transform="translate\(([-\d.]+) 0\)"/>')


def to_svg(drawing: Figure, dpi: int = 110) -> bytes:
    """The figure as SVG, with text as outlines so that it looks the same on every machine.

    Call inside `style.theme()`, which fixes the salt of the ids.
    """
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=dpi)
    return minify(buffer.getvalue().decode()).encode()


def minify(text: str) -> str:
    """The same picture in fewer bytes."""
    text = _LEAVE_OUT.sub("", text)
    text = _OUTLINE.sub(lambda m: f' d="{_relative(m.group(1))}" transform="scale(.125)"', text)
    text = _PATH.sub(lambda m: _path(m.group()), text)
    text = _PLACE.sub(lambda m: _LONG.sub(r"\1", m.group()), text)
    text = _GLYPH.sub("g", text)
    text = _USE.sub(r'<use href="\1" x="\2"/>', text)
    text = text.replace("xlink:href=", "href=")
    text = re.sub(r'(?<=<g) id="[^"]*"(?=[ >])', "", text)
    text = _STYLE.sub(lambda m: m.group().replace(": ", ":").replace("; ", ";"), text)
    return _without_bare_groups(re.sub(r">\s+<", "><", text).strip()) + "\n"


def _relative(outline: str) -> str:
    """A glyph's outline in relative, coarser whole units; rounding does not add up."""
    parts, here, start = [], (0, 0), (0, 0)
    for command, numbers in re.findall(r"([MLQCz])([^MLQCz]*)", outline):
        if command == "z":
            parts.append("z")
            here = start
            continue
        flat = [round(float(n) / COARSER) for n in numbers.split()]
        points = list(zip(flat[::2], flat[1::2], strict=True))
        steps = [value for x, y in points for value in (x - here[0], y - here[1])]
        parts.append(command.lower() + " ".join(map(str, steps)).replace(" -", "-"))
        here = points[-1]
        start = here if command == "M" else start
    return "".join(parts)


def _without_bare_groups(text: str) -> str:
    """Groups that say nothing, left out with the tags that close them."""
    bare: list[bool] = []

    def keep(tag: re.Match[str]) -> str:
        if tag.group() == "</g>":
            return "" if bare.pop() else "</g>"
        bare.append(tag.group() == "<g>")
        return "" if bare[-1] else tag.group()

    return re.sub(r"<g(?: [^>]*[^/>])?>|</g>", keep, text)


def _path(data: str) -> str:
    return _AROUND_COMMAND.sub(r"\1", _LONG.sub(r"\1", data)).strip()

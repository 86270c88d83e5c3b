"""A figure as SVG: the same bytes for the same figure, and as few of them as is easily had."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from weightwise.figures.letters import assumed_width, foreign_letters, writable

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
_FAMILY = re.compile(r"(?<=font-family: )[^;\"]*")
_LABEL = re.compile(r"(?<=>)[^<>]*(?=</text>)")
_USE = re.compile(r'<use xlink:href="(#[^"]+)" transform="translate\(([-\d.]+) 0\)"/>')


class _Renderer(RendererSVG):
    """Text as outlines, but for labels that the font lacks letters for: those stay text."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.letters: dict[str, None] = {}

    def _draw_text_as_path(self, gc, x, y, s, prop, angle, ismath, mtext=None):
        s = writable(s)
        foreign = "" if ismath else foreign_letters(s, prop)
        if not foreign:
            super()._draw_text_as_path(gc, x, y, s, prop, angle, ismath, mtext)
            return
        self.letters |= dict.fromkeys(foreign)
        self._draw_text_as_text(gc, x, y, s, prop, angle, ismath, mtext)

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any):
        s = writable(s)
        foreign = "" if ismath else foreign_letters(s, prop)
        known = "".join(c for c in s if c not in foreign) if foreign else s
        measured = super().get_text_width_height_descent(known or "lp", prop, ismath)
        if not foreign:
            return measured
        em = prop.get_size_in_points()
        # Letters of other fonts are often taller than Latin ones.
        height, descent = max(measured[1], 1.1 * em), max(measured[2], 0.25 * em)
        width = (measured[0] if known else 0.0) + em * assumed_width(s, foreign)
        return width, height, descent


class _Canvas(FigureCanvasSVG):
    """Matplotlib's, with the renderer from above."""

    letters = ""

    def print_svg(self, filename, *, bbox_inches_restore=None, metadata=None, **_: Any):
        dpi = self.figure.dpi
        self.figure.dpi = 72
        width, height = self.figure.get_size_inches()
        file = io.TextIOWrapper(filename, "utf-8", write_through=True)
        svg = _Renderer(width * 72, height * 72, file, image_dpi=dpi, metadata=metadata)
        renderer = MixedModeRenderer(
            self.figure, width, height, dpi, svg, bbox_inches_restore=bbox_inches_restore
        )
        self.figure.draw(renderer)
        renderer.finalize()
        file.detach()
        self.letters = "".join(svg.letters)


def to_svg(drawing: Figure, dpi: int = 110) -> tuple[bytes, str]:
    """The figure as SVG, with text as outlines so that it looks the same on every machine.

    Labels in scripts that the font lacks are text (`figures.letters`). Call inside
    `style.theme()`, which fixes the salt of the ids.

    Args:
        drawing: the figure.
        dpi: dots per inch of what is drawn as an image.

    Returns:
        The SVG, and the letters that whoever opens it needs a font for.
    """
    buffer = io.BytesIO()
    canvas = _Canvas(drawing)
    drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=dpi)
    return minify(buffer.getvalue().decode()).encode(), canvas.letters


def minify(text: str) -> str:
    """The same picture in fewer bytes."""
    text = _LEAVE_OUT.sub("", text)
    # Names of fonts need no quotes, and the page puts single ones in place of double ones.
    text = _FAMILY.sub(lambda m: m.group().replace("'", ""), text)
    text = _LABEL.sub(lambda m: m.group().replace('"', "&quot;").replace("'", "&apos;"), text)
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

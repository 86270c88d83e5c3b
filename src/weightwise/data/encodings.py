"""From bytes to text: strictly, and with the likely encoding named where that fails."""

from __future__ import annotations

import codecs
import re
import unicodedata

from weightwise.errors import UserError

UNREADABLE = re.compile("[\udc80-\udcff]")
"""What `decode` puts in the place of bytes that are no text, where broken lines are kept apart."""
_CONTROLS = re.compile("[\x80-\x9f]")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Where the standard leaves control characters, Windows' page of the same script has quotes, dashes
# and the euro.
_WINDOWS = {
    "iso8859-1": "windows-1252",
    "iso8859-15": "windows-1252",
    "iso8859-2": "windows-1250",
    "iso8859-16": "windows-1250",
    "iso8859-5": "windows-1251",
    "iso8859-7": "windows-1253",
    "iso8859-9": "windows-1254",
    "iso8859-8": "windows-1255",
    "iso8859-6": "windows-1256",
    "iso8859-13": "windows-1257",
    "iso8859-4": "windows-1257",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
_CANDIDATES = (
    "windows-1252",
    "windows-1250",
    "windows-1251",
    "windows-1254",
    "windows-1253",
    "mac-roman",
    "koi8-r",
    "shift_jis",
    "euc-jp",
    "gb18030",
    "big5",
    "euc-kr",
)
_SAMPLE = 1 << 16
_FREQUENT = "的一是不了人我在有他这這个個们們中来來上大为為和国國地到以说說时時要就出会會也你好很"
_CURLY = "‘’“”«»„‚–—…•€£°§´¿¡"


def decode(data: bytes, encoding: str, name: str, keep_bad: bool = False) -> tuple[str, bool]:
    """The text of some bytes, without a byte order mark.

    Args:
        data: the bytes.
        encoding: name of a text encoding.
        name: of the file, for messages.
        keep_bad: True: bytes that are no text become lone surrogates (`UNREADABLE`), so that the
            rows that hold them can be left out.

    Returns:
        The text, and whether there are such bytes.

    Raises:
        UserError: bytes that are no text in this encoding, with their line and the likely one.
    """
    codec = codecs.lookup(encoding).name
    bad = False
    try:
        text = data.decode(encoding)
    except (UnicodeError, ValueError) as error:
        text = _with_gaps(data, encoding) if keep_bad and marked(data) is None else None
        if text is None:
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            line = data[:start].decode(encoding, "replace").count("\n") + 1
            raise UserError(
                f"{name}, line {line}: is not {_shown(encoding)} text; "
                f"{_advice(data, start, encoding)}"
            ) from None
        bad = True
    if not codec.startswith("utf") and (found := _CONTROLS.search(text)):
        line = text.count("\n", 0, found.start()) + 1
        better = _WINDOWS.get(codec)
        if better is None or not _decodes(data, better):
            # mac-roman has a character for every byte.
            better = next((e for e, _ in likely(data) if e != encoding), better or "utf-8")
        raise UserError(
            f"{name}, line {line}: byte 0x{ord(found[0]):02X} is a control character in "
            f"{encoding}, which no text holds (Windows writes quotes, dashes and the euro with "
            f"such bytes); set `encoding: {better}`, or convert the file to UTF-8"
        )
    return text.removeprefix("\ufeff"), bad


def _shown(encoding: str) -> str:
    return encoding.upper() if encoding.lower().startswith("utf") else encoding


def _with_gaps(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding, "surrogateescape")
    except (UnicodeError, ValueError):
        return None


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except (UnicodeError, ValueError):
        return False
    return True


def marked(data: bytes) -> str | None:
    """The encoding that a byte order mark, or zero bytes at every other place, give away."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    head = data[:2000]
    if len(head) >= 8 and b"\0" in head:
        for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            zeros = head[first::2].count(0)
            if zeros > 0.4 * len(head) / 2 and head[1 - first :: 2].count(0) < zeros / 10:
                return encoding
    return None


def _advice(data: bytes, start: int, encoding: str) -> str:
    mark = marked(data)
    if mark is not None and codecs.lookup(mark).name != codecs.lookup(encoding).name:
        return f"it looks like {mark}: set `encoding: {mark}`, or convert the file to UTF-8"
    found = [
        (e, r) for e, r in likely(data, start)
        if codecs.lookup(e).name != codecs.lookup(encoding).name
    ]  # fmt: skip
    if not found:
        return (
            "no usual encoding fits either, so bytes are damaged or the file is no text; set "
            "`encoding` if you know it, or `bad_rows: drop` to leave out and count the rows that "
            "cannot be read"
        )
    different = {stretch: e for e, stretch in reversed(found)}  # of equal readings the likeliest
    first = [(e, r) for e, r in found if different[r] == e][:2]
    reads = "; ".join(f"as {e} it reads {r!r}" for e, r in first)
    return (
        f"{reads}. Set `encoding: {found[0][0]}` if that is right, or convert the file to UTF-8; "
        "where only few rows are damaged, `bad_rows: drop` leaves them out and counts them"
    )


def likely(data: bytes, start: int | None = None) -> list[tuple[str, str]]:
    """The encodings that bytes probably are in, the likeliest first, each with a stretch of text
    as read with it.

    A guess for messages only, never used to read: bytes must decode, and what they become is
    judged by how words look (letters of one script in a word, marks at the edges of words).

    Args:
        data: the bytes.
        start: offset from where the stretch is taken; None: the first byte that is not ASCII.
    """
    if _decodes(data, "utf-8"):
        return [("utf-8", "")]
    mark = marked(data)
    if mark is not None and _decodes(data, mark):
        return [(mark, "")]
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    sample = b"\n".join(lines)[:_SAMPLE]
    sample = sample[: sample.rfind(b"\n")] if len(sample) == _SAMPLE and b"\n" in sample else sample
    first = start if start is not None else next((i for i, b in enumerate(data) if b > 127), 0)
    begin = data.rfind(b"\n", 0, first) + 1
    end = data.find(b"\n", first)
    line = data[begin : len(data) if end < 0 else end]
    ranked = []
    for order, encoding in enumerate(_CANDIDATES):
        try:
            score = _plausible(sample.decode(encoding))
            before = len(line[: first - begin].decode(encoding, "replace"))
            stretch = line.decode(encoding)[max(0, before - 12) : before + 12]
        except (UnicodeError, ValueError):
            continue
        if _decodes(data, encoding):
            ranked.append((-round(score, 3), order, encoding, stretch.strip()))
    return [(encoding, stretch) for score, _, encoding, stretch in sorted(ranked) if score < 0]


def _plausible(text: str) -> float:
    """How much text looks like that of people: mean over its characters beyond ASCII."""
    total, count = 0.0, 0
    for i, c in enumerate(text):
        if c.isascii():
            continue
        count += 1
        before = text[i - 1] if i else " "
        after = text[i + 1] if i + 1 < len(text) else " "
        kind = unicodedata.category(c)
        if kind in ("Cc", "Co", "Cn", "Cs"):
            total -= 2
        elif "\u3040" <= c <= "\u30ff":
            total += 1.6 if _cjk(before) or _cjk(after) else 0.3
        elif "\uac00" <= c <= "\ud7a3":  # Korean hardly ever mixes Chinese characters in
            total += -1.0 if _chinese(before) or _chinese(after) else 1.5
        elif "\u4e00" <= c <= "\u9fff" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef":
            total += 1.3 if _cjk(before) or _cjk(after) else 0.1
            total += 2.0 if c in _FREQUENT else 0.0
            if "\uff61" <= c <= "\uff9f":  # half-width kana: what other bytes become
                total -= 1.5
        elif kind[0] == "L":
            total += _letter(c, before, after)
        elif c in _CURLY:
            inside = before.isalpha() and after.isalpha()
            total += 1 if not inside or c == "’" else -0.5
        else:
            total -= 0.7
    return total / count if count else 0.0


def _cjk(c: str) -> bool:
    return "\u3000" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7a3" or "\uff00" <= c <= "\uffef"


def _chinese(c: str) -> bool:
    return "\u4e00" <= c <= "\u9fff"


def _letter(c: str, before: str, after: str) -> float:
    """Plausibility of a letter between two characters."""
    latin = unicodedata.name(c, "").startswith("LATIN")
    near = [n for n in (before, after) if n.isalpha()]
    score = 1.0
    if latin and c in "ðþýÐÞÝªºƒˆ˜":
        score -= 0.8
    if any(unicodedata.name(n, "").startswith("LATIN") != latin for n in near):
        return -1.0
    if latin and any(not n.isascii() for n in near):
        score -= 0.6  # accents rarely stand side by side
    if c.isupper() and before.islower():
        score -= 1.2  # upper case inside a word
    if not latin and not near:
        score -= 1.0
    return score

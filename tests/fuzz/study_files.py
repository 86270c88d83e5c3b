"""Study files as nobody writes them: every key of every study of this repository replaced by a
hostile value, taken away, renamed or given twice, and files whose very text is broken.

`attempt` reads one; whatever comes out of it but a study or a `UserError` is a fault.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from weightwise.config import load_study
from weightwise.config.load import merge
from weightwise.errors import UserError
from weightwise.faults import printable
from weightwise.grid import Grid

ROOT = Path(__file__).resolve().parents[2]
STUDIES = (ROOT / "config.yaml", *sorted((ROOT / "workflow" / "studies").glob("*.yaml")))
SECONDS = 20
"""A file that takes longer counts as a hang."""
# Words that only pydantic or Python would say.
INNER_WORDS = ("instance of", "constrained-", "Input should", "valid tuple", "pydantic", "[key]")
DEEP = "[" * 700 + "]" * 700
BOMB = "{a: &a [x,x,x,x,x,x,x,x,x,x], " + ", ".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]" for i in range(12)
) + "}"  # fmt: skip
# YAML of values that no key expects.
HOSTILE = (
    *("null", "''", "' '", "no", "yes", "~", "0", "1", "-1", "1.5", "[]", "{}", "[[]]", "[{}]"),
    *("[null]", "{a: b}", "{'': 1}", "{1: 2}", "{no: 1}", "x", "'*'", "'a b'", "'a+b'", "../x"),
    *("/", "'.'", "..", "'\\0'", '"\\0"', '"a\\0b"', '"\\ud800"', '"x\\udfff"', '["\\ud800"]'),
    *('{"\\ud800": 1}', '"\\e[31m"', '"\\u202e"', '"\\n"', "'\\'", "1e999", ".inf", "-.inf"),
    *(".nan", "[.nan, .nan]", "1e-999999999", "1e-5", "1e-30", "9" * 5000, "-" + "9" * 400),
    *("0x" + "f" * 5000, "1:59:59", "2001-01-01", "2001-99-99", "2001-01-01T00:00:00Z", "!!int x"),
    *("!!float x", "!!binary x", "!!binary YQ==", "!!timestamp x", "!!set {a, b}", "!!omap [a: 1]"),
    *("!!null x", "!!python/object:os.system {}", "!!bool x", "!x y", "*nothing", "&a [*a]"),
    *("{a: 1, a: 2}", "{<<: 1}", "{<<: [1]}", "{? [a] : b}", "[1, 1]", "[0.5, '0.50']", "[-0.0]"),
    *("1_000", "0o17", "010", "18446744073709551616", "[a, b, c, d]", "[SEN, PAR, SIM, SEN]"),
    *("pairs", "{up_to: 99}", "{up_to: 0}", "{type: file}", "{type: [file]}", "{kind: mlm}"),
    *("{kind: null}", "cagrad(c=)", "['cagrad(c=1e999)']", "['torchjd:Nothing']", "['(', ')']"),
    *("x" * 5000, DEEP, BOMB),
)  # fmt: skip
BROKEN = (
    *(b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\x00", b"\t", b"\r", b"\x85", b"#", b"*", b"&"),
    *(b"!", b"%", b"@", b"`", b"'", b'"', b"{", b"}", b"[", b"]", b": ", b"- ", b"? ", b"<<: "),
    *(b"---\n", b"...\n", b"|", b">", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\\", b"\n\n "),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A study's file that is tried, and what was done to it."""

    name: str
    content: bytes


def studies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys of every study of this repository, those that it extends included."""
    for path in STUDIES:
        data = yaml.safe_load(path.read_text("utf-8"))
        while "extends" in data:
            path = path.parent / data.pop("extends")
            data = merge(yaml.safe_load(path.read_text("utf-8")), data)
        yield path.stem, data


def paths(data: Any, so_far: tuple = ()) -> Iterator[tuple]:
    """The paths of all values."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*so_far, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*so_far, key))


MARK = "HOSTILE-VALUE"


def replaced(data: Any, path: tuple, how: str) -> Any:
    """A copy in which one value is replaced by a mark, taken away, renamed or made a list."""
    if not path:
        return {"set": MARK, "list": [data], "keys": {"x": data}}[how]
    key, *rest = path
    if isinstance(data, list):
        copy = list(data)
        if how == "drop" and not rest:
            del copy[key]
        elif how != "rename" or rest:
            copy[key] = replaced(data[key], tuple(rest), how)
        return copy
    if not rest and how in ("drop", "rename"):
        kept = {k: v for k, v in data.items() if k != key}
        return kept if how == "drop" else kept | {f"{key}s": data[key]}
    return {k: replaced(v, tuple(rest), how) if k == key else v for k, v in data.items()}


def every_case() -> Iterator[Case]:
    """Every key of every study with every hostile value: some 100,000 cases."""
    for name, data in studies():
        for path in paths(data):
            where = f"{name}: {'.'.join(map(str, path))}"
            for how in ("drop", "rename", "list", "keys"):
                text = yaml.safe_dump(replaced(data, path, how), sort_keys=False)
                yield Case(f"{where}: {how}", text.encode())
            text = yaml.safe_dump(replaced(data, path, "set"), sort_keys=False, width=10**6)
            for value in HOSTILE:
                yield Case(f"{where} = {value[:40]}", text.replace(MARK, value).encode())


def some_cases(seed: int, count: int) -> Iterator[Case]:
    """So many cases drawn with a seed: hostile values, pieces of broken text, two keys at once."""
    draw = random.Random(seed)
    known = [(name, data, list(paths(data))) for name, data in studies()]
    for number in range(count):
        name, data, where = draw.choice(known)
        values = []
        for _ in range(draw.choice((1, 1, 2, 3))):
            path = draw.choice(where)
            how = draw.choice(("set", "set", "set", "set", "drop", "rename", "list", "keys"))
            try:
                data = replaced(data, path, how)
            except (KeyError, IndexError, TypeError, AttributeError):
                continue  # the first change took away what the second would have changed
            values.append(f"{'.'.join(map(str, path))} {how}")
        text = yaml.safe_dump(data, sort_keys=False, width=10**6)
        while MARK in text:
            value = draw.choice(HOSTILE)
            text = text.replace(MARK, value, 1)
            values.append(value[:40])
        content = text.encode()
        for _ in range(draw.choice((0, 0, 1, 2))):
            place, piece = draw.randrange(len(content) + 1), draw.choice(BROKEN)
            content = content[:place] + piece + content[place + draw.randrange(5) :]
            values.append(f"{piece!r} at {place}")
        yield Case(f"{number} {name}: {'; '.join(values)}", content)


def attempt(case: Case, folder: Path) -> str:
    """Read a case as `weightwise plan` and the Snakefile would.

    Args:
        case: the case.
        folder: where its file is written.

    Returns:
        `accepted` or `refused`.

    Raises:
        AssertionError: it was refused in words of libraries, or in none.
        TimeoutError: it took longer than `SECONDS`.
        Exception: whatever else is a fault.
    """
    path = folder / "study.yaml"
    path.write_bytes(case.content)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        grid = Grid(load_study(path))
        for run in grid.runs[:3] + grid.runs[-1:]:
            grid.fingerprint(run)
        assert grid.packs
        for stage in grid.stages:
            grid.stage_fingerprint(stage)
        return "accepted"
    except UserError as error:
        said = printable(str(error))
        said.encode("utf-8")
        assert said.startswith((str(path), "study '", "simplex_step", "groupings", "alpha")), said
        assert not any(word in said for word in INNER_WORDS), said
        assert len(said) < 20_000, said[:1000]
        return "refused"
    finally:
        signal.alarm(0)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"took more than {SECONDS} seconds")


def run(cases: Iterator[Case], folder: Path) -> tuple[Counter, list[str]]:
    """Try cases.

    Returns:
        How many were accepted, refused and at fault, and of the latter a line each.
    """
    counts: Counter = Counter()
    faults = []
    for case in cases:
        try:
            counts[attempt(case, folder)] += 1
        except Exception as error:
            counts["at fault"] += 1
            faults.append(f"{case.name}: {type(error).__name__}: {str(error)[:300]}")
    return counts, faults

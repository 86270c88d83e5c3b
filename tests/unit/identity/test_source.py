"""What a source file says: the same on every Python, whatever its layout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from weightwise.identity import source
from weightwise.identity.source import digest_of

EVERYTHING = '''
"""A docstring."""
from __future__ import annotations
import math, numpy as np
from typing import TYPE_CHECKING
from weightwise.train.engine import Engine as E, other
if TYPE_CHECKING:
    from somewhere import Nothing

X: int = -1
"""Of an attribute."""
Y = 1e-5, 0x10, 1_000, 2j, b"\\x00\\xff", "caf\\u00e9 \\U0001f600 \\u0378", None, ..., True

def f(a, /, b: int = 2, *c, d=3, **e) -> "int": ...

@decorated(1)
class A(B, metaclass=M):
    """Says nothing."""
    x: float = 0.1

    async def g(self):
        async with a as b, c:
            async for i in x:
                yield i
        return [i async for i in x if i]

def g(x):
    match x:
        case {"a": [1, *_], **rest} if rest:
            pass
        case A(x=1) | None:
            return
    try:
        assert x, f"{x!r:>{width}} and {'nested'} text {x=} {{}}" "more" f"{y:.2f}"
    except* (ValueError, TypeError) as error:
        raise KeyError from error
    finally:
        del x[1:2, ::3]
    lambda *a, k=1: (yield)
    global z
    z: int
    z @= (w := 3) if x else ~x
    return {**x, 1: 2}, {1, *x}, x[...], a < b <= c is not d
'''
DIGEST = "68f1992c0f85cb6a7e94a4420a977047c054b8be26c784580dbe56365956497f"


def test_a_source_has_one_digest_everywhere():
    """The value was the same on 3.11, 3.12 and 3.13; it must never depend on the interpreter."""
    assert digest_of(EVERYTHING) == DIGEST


def interpreter(version: str) -> str | None:
    """A Python of that version that runs: on the PATH, or one of pyenv's."""
    own = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for found in (shutil.which(f"python{version}"), *map(str, own)):
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_other_pythons_give_the_same_digest(version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    folder = Path(source.__file__).parent
    told = subprocess.run(
        [python, "-c", "import sys, source; print(source.digest_of(sys.stdin.read()))"],
        cwd=folder,
        input=EVERYTHING,
        env=os.environ
        | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == digest_of(EVERYTHING)


SAID = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "same",
    [
        "def f(x):  # a remark\n\n    return (x +\n            1)\n",
        '"""A docstring."""\n\n\ndef f(x):\n    """Another."""\n    return x + 1\n',
        "if TYPE_CHECKING:\n    import torch\n\ndef f(x):\n    return x + 1\n",
        "if typing.TYPE_CHECKING:\n    from a import b\n\ndef f(x):\n    return x + 1\n",
    ],
)
def test_layout_and_remarks_say_nothing(same):
    assert digest_of(same) == digest_of(SAID)


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x - 1\n",
        "def f(x):\n    return x + 1.0\n",
        "def f(x):\n    return x + True\n",
        "def f(x):\n    return x + 1\n\nf = None\n",
        "async def f(x):\n    return x + 1\n",
        "def f(x=1):\n    return x + 1\n",
        "def f(y):\n    return y + 1\n",
        "@cached\ndef f(x):\n    return x + 1\n",
    ],
)
def test_whatever_computes_says_something(other):
    assert digest_of(other) != digest_of(SAID)


def test_texts_count_where_they_are_values():
    assert digest_of("x = 'a'") != digest_of("x = 'b'")
    assert digest_of("x = 'a'") != digest_of("x = b'a'")
    assert digest_of("f'{x}a'") != digest_of("f'{x}b'")
    assert digest_of("f'{x!r}'") != digest_of("f'{x!s}'") != digest_of("f'{x}'")
    assert digest_of("f('a')") != digest_of("f('b')")


def test_where_the_packages_own_things_lie_says_nothing_here():
    """`imports` follows what lies there."""
    one = digest_of("from weightwise.train.engine import Engine")
    assert digest_of("from weightwise.elsewhere import Engine") == one
    assert digest_of("from weightwise.train.engine import Engine as Other") != one
    assert digest_of("from weightwise.train.engine import Machine") != one
    assert digest_of("from elsewhere import Engine") != one
    assert digest_of("from torch import a") != digest_of("from numpy import a")

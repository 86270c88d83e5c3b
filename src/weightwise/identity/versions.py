"""Versions of the libraries that make a run's numbers, read without importing them."""

from __future__ import annotations

import functools
import re
from importlib.metadata import PackageNotFoundError, requires, version


@functools.cache
def installed(package: str) -> str | None:
    """The installed version of a distribution; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# What these require in turn computes nothing for them that a result could show.
COMPUTES_ALONE = frozenset({"torch", "numpy"})


@functools.cache
def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Installed versions by name, sorted.

    Args:
        packages: names of distributions. Installed ones that they require are added, with extras:
            torchjd leaves its sums to solvers. None are added for torch and NumPy.
    """
    found: dict[str, str | None] = {}
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = installed(name)
            if name not in COMPUTES_ALONE:
                waiting += [other for other in _required_by(name) if installed(other) is not None]
    return dict(sorted(found.items()))


@functools.cache
def _required_by(package: str) -> frozenset[str]:
    """Distributions that a distribution requires, those of its extras included."""
    try:
        named = requires(package) or []
    except PackageNotFoundError:
        return frozenset()
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in named)
    return frozenset(match[0].lower() for match in found if match)

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


# Packages that leave sums to others, and whether they do so as extras.
BY_OTHERS = {"torchjd": True, "cvxpy": False}


@functools.cache
def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Installed versions by name, sorted.

    Args:
        packages: names of distributions. The solvers that torchjd may use are added to it.
    """
    found: dict[str, str | None] = {}
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = installed(name)
        if name in BY_OTHERS:
            others = _required_by(name, extras=BY_OTHERS[name])
            waiting += [other for other in others if installed(other) is not None]
    return dict(sorted(found.items()))


@functools.cache
def _required_by(package: str, extras: bool) -> frozenset[str]:
    """Distributions that one requires, those of its extras included or not."""
    try:
        named = requires(package) or []
    except PackageNotFoundError:
        return frozenset()
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in named if extras or "extra" not in text)
    return frozenset(match[0].lower() for match in found if match)

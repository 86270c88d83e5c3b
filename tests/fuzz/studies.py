"""Study files, from `study_files`: hostile values, broken text, tags that would run something."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import study_files
import yaml
from harness import WAITED, marker

TAG = b"!!python/object:os.system {}"
PAYLOADS = (
    "!!python/object/apply:os.mkdir [PLACE]",
    "!!python/object/new:os.mkdir [PLACE]",
    "!!python/name:os.mkdir PLACE",
    "!!python/object/apply:os.system ['mkdir PLACE']",
)
SEED = 10
study_files.SECONDS = WAITED  # the harness counts seconds of the processor


def cases(count: int) -> Iterator[study_files.Case]:
    """So many cases, the same ones each time. One in ten is a sound study; one in ten holds a tag
    that would make a folder."""
    sound = itertools.cycle(list(study_files.studies()))
    for number, case in enumerate(study_files.some_cases(SEED, count)):
        if number % 10 == 0:
            name, keys = next(sound)
            case = study_files.Case(name, yaml.safe_dump(keys, sort_keys=False).encode())
        elif number % 10 == 5:
            name = f"{case.name}; a tag"
            case = study_files.Case(name, b"study_seed: " + TAG + b"\n" + case.content)
        yield case


def attempt(case: study_files.Case, folder: Path) -> str:
    """As `study_files.attempt`, with the place of what would be run filled in."""
    payloads = itertools.cycle(PAYLOADS)
    parts = case.content.split(TAG)
    content = parts[0]
    for part in parts[1:]:
        place = os.fsencode(next(payloads).replace("PLACE", str(marker(folder))))
        content += place + part
    with chdir(folder):
        return study_files.attempt(replace(case, content=content), folder)

"""A checkpoint folder whose weights are a pickle, as a new folder with safetensors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from weightwise.data.encoder_files import BESIDE, checkpoint_root, pickles
from weightwise.data.encoder_source import look_at
from weightwise.data.tokenizer_settings import TOKENIZER_FILES
from weightwise.data.unpickle import CPU_SECONDS
from weightwise.errors import UserError
from weightwise.model.weights import WEIGHTS
from weightwise.untrusted import is_lfs_pointer, lfs_message, read_object

PICKLE = "pytorch_model.bin"
PICKLE_INDEX = f"{PICKLE}.index.json"


def convert(folder: Path, out: Path) -> dict[str, Any]:
    """Write `out` with the tensors of `folder` in safetensors and the files beside them.

    The pickle is opened in a process of its own that builds tensors and runs nothing else; what
    comes out is checked as an encoder of a study is, and `out` appears whole or not at all.

    Args:
        folder: with config.json, a tokenizer and pytorch_model.bin (or its shards and index).
        out: folder to make; it must not exist or must be empty.

    Returns:
        `tensors` and `left_out` (entries that were no tensors, or other names of one), and the
        facts of `look_at`.

    Raises:
        UserError: no pickle there, one that wants to run code, or no BERT encoder.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already; name a folder that is not, or an empty one")
    root = checkpoint_root(folder)
    parts = _parts(root, str(folder))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
            new = Path(temporary) / "new"
            new.mkdir()
            for name in ("config.json", *TOKENIZER_FILES, BESIDE[1]):
                _copy(root / name, new / name)
            for name in (*BESIDE, "README.md", "LICENSE"):
                _copy(folder / name, new / name)
            done = _unpickle(parts, new / WEIGHTS, str(folder))
            if not (new / "config.json").is_file():
                raise UserError(f"{folder}: has no config.json, which states the architecture")
            facts = look_at(new, str(folder))
            if out.exists():
                out.rmdir()
            os.rename(new, out)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror}") from None
    return facts | done


def _copy(source: Path, target: Path) -> None:
    if source.is_file() and not target.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


def _parts(root: Path, name: str) -> list[Path]:
    """The pickles that hold the weights."""
    if (root / WEIGHTS).is_file():
        raise UserError(f"{name}: has a {WEIGHTS} already; there is nothing to convert")
    if (root / PICKLE).is_file():
        parts = [PICKLE]
    elif (root / PICKLE_INDEX).is_file():
        places = read_object(root / PICKLE_INDEX, f"{name}: {PICKLE_INDEX}").get("weight_map")
        files = list(places.values()) if isinstance(places, dict) else []
        if not files or any(not isinstance(f, str) or Path(f).name != f for f in files):
            raise UserError(f"{name}: {PICKLE_INDEX} does not name files beside it in `weight_map`")
        parts = sorted(set(files))
    else:
        parts = pickles(root)
        if len(parts) != 1:
            held = ", ".join(parts) or "none"
            raise UserError(f"{name}: needs {PICKLE}, or one pickle (there are: {held})")
    for part in parts:
        if not (root / part).is_file():
            raise UserError(f"{name}: the shard '{part}' is not there; fetch it, too")
        if is_lfs_pointer(root / part):
            raise UserError(lfs_message(f"{name}: {part}"))
    return [root / part for part in parts]


def _unpickle(parts: list[Path], out: Path, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "weightwise.data.unpickle", str(out), *map(str, parts)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * CPU_SECONDS, check=False
        )
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise UserError(f"{name}: {parts[0].name} took too long to open; it is refused") from None
    except (ValueError, IndexError):
        raise UserError(
            f"{name}: the process that opened {parts[0].name} ended without an answer (code "
            f"{done.returncode}): the file is damaged, or takes more than its size explains"
        ) from None
    if "error" in said:
        raise UserError(f"{name}: {said['error']}")
    return said

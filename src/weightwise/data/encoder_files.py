"""Which files make a checkpoint folder, and where in a published folder they lie. Imports no torch.

Sentence encoders are published as a folder of modules: `modules.json` lists them, the first is the
encoder (in the folder itself, or, as older versions wrote it, in `0_Transformer/`), the second says
in `1_Pooling/config.json` how token vectors become one.
"""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from weightwise.data.tokenizer_settings import TOKENIZER_FILES
from weightwise.errors import UserError
from weightwise.model.weights import INDEX, SHARD_NAME, WEIGHTS, shards
from weightwise.untrusted import read_bytes, read_object

FILES = ("config.json", WEIGHTS, INDEX, *TOKENIZER_FILES)
"""All that is ever taken from a checkpoint folder, beside the shards that its index names."""
BESIDE = ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json")
"""What else is read of a folder, for warnings."""
OLD_FOLDER = "0_Transformer"
SHARDS = "model-*-of-*.safetensors"
"""Names of shards as `transformers` writes them."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_NO_WEIGHTS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"})


class Wanted(Container[str]):
    """Paths below a published folder that are taken out of an archive."""

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        inner = path.removeprefix(f"{OLD_FOLDER}/")
        shard = SHARD_NAME.fullmatch(inner) is not None
        return path in BESIDE or inner in FILES or inner == BESIDE[1] or shard


def hub_patterns() -> list[str]:
    """Patterns of the files that are asked of the hub."""
    inner = [*FILES, BESIDE[1], SHARDS]
    return [*inner, *(f"{OLD_FOLDER}/{name}" for name in inner), *BESIDE, "README.md"]


def checkpoint_root(folder: Path) -> Path:
    """The folder, or its `0_Transformer/` where the encoder lies there."""
    old = folder / OLD_FOLDER
    here = (folder / "config.json").exists() or (folder / WEIGHTS).exists()
    return old if not here and (old / "config.json").is_file() else folder


def encoder_files(folder: Path) -> list[Path]:
    """Files of a published folder that decide the tokenizer, the weights and what is told of them.

    Shards are those that the index names; a broken index is left to whoever reads the weights.
    """
    root = checkpoint_root(folder)
    try:
        parts = sorted(set((shards(root, str(root)) or {}).values()))
    except UserError:
        parts = []
    paths = [root / name for name in (*FILES, *parts, BESIDE[1])]
    paths += [folder / name for name in BESIDE]
    return sorted({path for path in paths if path.is_file()})


def pickles(root: Path) -> list[str]:
    """Names of the files of a folder that are weights in a pickle, as far as names tell."""
    found = {path.name for pattern in _PICKLES for path in root.glob(pattern)}
    return sorted(found - _NO_WEIGHTS)


def refuse_incomplete(root: Path, name: str, folder: Path | None) -> None:
    """Refuse a folder in which weights, configuration or vocabulary are missing.

    Args:
        root: where the checkpoint's files lie.
        name: what messages call the folder.
        folder: the user's own, which `weightwise convert` can be told; None where there is none.

    Raises:
        UserError: with what is missing, and the remedy.
    """
    have = {path.name for path in root.iterdir()}
    if "config.json" not in have:
        raise UserError(f"{name}: has no config.json, which states the architecture")
    if not have & {WEIGHTS, INDEX}:
        kept = pickles(root)
        if kept and folder is not None:
            raise UserError(
                f"{name}: has its weights in '{kept[0]}' only, a pickle; weightwise reads "
                "safetensors only, since opening a pickle can run code. Run "
                f"`weightwise convert {folder} OUT` once and name OUT in `encoder.source`"
            )
        raise UserError(
            f"{name}: has no {WEIGHTS} (nor {INDEX}); weightwise reads safetensors only. Name a "
            "revision that has one, or download the folder, run `weightwise convert FOLDER OUT`, "
            "and name OUT as a directory"
        )
    if not have & {"tokenizer.json", "vocab.txt"}:
        raise UserError(f"{name}: has neither tokenizer.json nor vocab.txt")


def sentence_facts(folder: Path, name: str) -> dict[str, Any]:
    """What a sentence encoder's folder says beside its encoder.

    Returns:
        `pooling`: modes, such as ["mean"], or None; `modules`: kinds of further modules that are
        not taken over, such as ["Dense"]; `lower_case`: whether sentence-transformers lower-cases
        texts itself.

    Raises:
        UserError: a file is broken.
    """
    root = checkpoint_root(folder)
    pooling = None
    path = folder / BESIDE[2]
    if path.is_file():
        said = read_object(path, f"{name}: {BESIDE[2]}")
        modes = [k for k, v in said.items() if k.startswith("pooling_mode_") and v is True]
        pooling = sorted(_pooling(mode) for mode in modes)
        if isinstance(said.get("pooling_mode"), str):
            pooling = pooling or [said["pooling_mode"][:40]]
    settings = next((p for p in (root / BESIDE[1], folder / BESIDE[1]) if p.is_file()), None)
    lower = read_object(settings, f"{name}: {BESIDE[1]}") if settings else {}
    return {
        "pooling": pooling or None,
        "modules": _modules(folder / BESIDE[0], name),
        "lower_case": lower.get("do_lower_case") is True,
    }


def _pooling(key: str) -> str:
    known = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}
    mode = key.removeprefix("pooling_mode_")
    return known.get(mode, mode)


def _modules(path: Path, name: str) -> list[str]:
    """Kinds of the modules behind encoder and pooling, `Normalize` apart (it has no weights)."""
    if not path.is_file():
        return []
    try:
        listed = json.loads(read_bytes(path, f"{name}: {path.name}", 1 << 20))
    except (ValueError, RecursionError):
        raise UserError(f"{name}: {path.name} cannot be read as JSON") from None
    entries = listed if isinstance(listed, list) else []
    kinds = [str(e.get("type", "")).rpartition(".")[2][:40] for e in entries if isinstance(e, dict)]
    return [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize", "")]


def encoder_warnings(facts: dict[str, Any], read: set[str]) -> list[str]:
    """Where a study reads an encoder otherwise than it was made to be read.

    Args:
        facts: of `fetch_encoder`.
        read: representations that the study's tasks read (cls, pooler, mean).
    """
    found = [f"encoder: {note}" for note in facts.get("notes", [])]
    pooling = facts.get("pooling")
    others = sorted(read - set(pooling or []))
    if pooling and (others or len(pooling) > 1):
        mode = pooling[0] if len(pooling) == 1 else ""
        remedy = f"; `representation: {mode}` does" if mode in ("cls", "mean") else ""
        found.append(
            f"encoder: its {BESIDE[2]} says that it was trained to be read by "
            f"{' and '.join(pooling)}, and the study reads {', '.join(sorted(read))}{remedy}"
        )
    if facts.get("modules"):
        found.append(
            f"encoder: its {BESIDE[0]} lists further modules ({', '.join(facts['modules'])}), "
            "which are not taken over"
        )
    if facts.get("lower_case"):
        found.append(
            f"encoder: by its {BESIDE[1]} sentence-transformers lower-cases texts before the "
            "tokenizer, which the study does not"
        )
    return found

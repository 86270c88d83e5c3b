"""Tensors of pickles into safetensors, in a process of its own: `weightwise convert` starts it.

`python -m weightwise.data.unpickle OUT IN...` prints one JSON object: {"tensors", "left_out"}, or
{"error"}. torch opens the pickle with `weights_only=True`, which builds tensors and calls nothing.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from weightwise.errors import UserError

CPU_SECONDS = 1800
MEMORY_BYTES = 16 << 30
"""Address space beside that for the tensors: torch alone maps several GiB."""
_NESTED = ("state_dict", "model_state_dict", "model")


def limit(size: int) -> None:
    """Bound what this process may take, for pickles of `size` bytes together."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    bounds = {
        resource.RLIMIT_AS: MEMORY_BYTES + 6 * size,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: 2 * size + (64 << 20),
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in bounds.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard))


def read(path: Path) -> dict[str, Any]:
    """The tensors of a pickle by name.

    Raises:
        UserError: it is no pickle of tensors, or wants to run code.
    """
    import torch

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        found = re.search(r"GLOBAL ([\w.]+)|(?:class|function) ([\w.]+)", str(error))
        if found and "nsupported" in str(error):
            raise UserError(
                f"{path.name}: wants to run '{found[1] or found[2]}' when it is opened; it is "
                "refused and nothing was run. Take the checkpoint from a source that has "
                "safetensors"
            ) from None
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(f"{path.name}: is no pickle of tensors alone ({first})") from None
    for key in _NESTED:
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    if not isinstance(data, dict):
        raise UserError(f"{path.name}: holds no tensors by name, but a {type(data).__name__}")
    return data


def plain(data: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Dense tensors with memory of their own, each once; and how many entries were left out.

    Of several names of one tensor (the decoder of masked language modelling is the word
    embeddings) that of the embeddings stays, else the shortest.

    Raises:
        UserError: no tensor is left, or one is larger than what the pickle stores.
    """
    import torch

    kept: dict[Any, str] = {}

    def rank(item: tuple[Any, Any]) -> tuple[bool, int, str]:
        name = str(item[0])
        return "embeddings." not in name, len(name), name

    for name, tensor in sorted(data.items(), key=rank):
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            continue
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            continue
        stored = tensor.untyped_storage()
        if tensor.numel() * tensor.element_size() > stored.nbytes():
            raise UserError(f"tensor '{name[:80]}' is larger than what the file stores of it")
        place = (stored.data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        kept.setdefault(place if tensor.numel() else name, name)
    if not kept:
        raise UserError("holds no tensor by name")
    found = {name: data[name].detach().clone().contiguous() for name in sorted(kept.values())}
    return found, len(data) - len(found)


def main(arguments: list[str]) -> int:
    """Convert, and say in JSON how it went."""
    out, paths = Path(arguments[0]), [Path(one) for one in arguments[1:]]
    import torch  # noqa: F401 (mapped before the limits, which are for what the file makes of it)
    from safetensors.torch import save_file

    limit(sum(path.stat().st_size for path in paths))
    try:
        data: dict[str, Any] = {}
        for path in paths:
            part = read(path)
            for name in part.keys() & data.keys():
                raise UserError(f"tensor '{name}' is in two of the files")
            data |= part
        tensors, left_out = plain(data)
        save_file(tensors, out, metadata={"format": "pt"})
    except UserError as error:
        print(json.dumps({"error": str(error)}))
        return 2
    except (MemoryError, RuntimeError) as error:
        first = (str(error) or "no memory").splitlines()[0][:200]
        print(json.dumps({"error": f"takes more memory than its size explains ({first})"}))
        return 2
    print(json.dumps({"tensors": len(tensors), "left_out": left_out}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

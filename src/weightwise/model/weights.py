"""The tensors of a BERT checkpoint: one safetensors file, or shards with an index. Nothing is
unpickled, and nothing is loaded before its shape is known to be right. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from weightwise.errors import UserError
from weightwise.model.architecture import BertConfig
from weightwise.untrusted import is_lfs_pointer, lfs_message, read_object

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors")
"""Names that an index may give to its shards: files beside it, no path."""
_WORDS = "embeddings.word_embeddings.weight"
_DENSE_IN_LAYER = {
    "attention.self.query": ("hidden", "hidden"),
    "attention.self.key": ("hidden", "hidden"),
    "attention.self.value": ("hidden", "hidden"),
    "attention.output.dense": ("hidden", "hidden"),
    "intermediate.dense": ("between", "hidden"),
    "output.dense": ("hidden", "between"),
}
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


def tensor_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Plain names and shapes of every tensor of a BERT encoder without its pooler."""
    sizes = {"hidden": config.hidden_size, "between": config.intermediate_size}
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        _WORDS: (config.vocab_size, hidden),
        "embeddings.position_embeddings.weight": (config.max_position_embeddings, hidden),
        "embeddings.token_type_embeddings.weight": (config.type_vocab_size, hidden),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config.num_hidden_layers):
        prefix = f"encoder.layer.{layer}."
        for name, (rows, columns) in _DENSE_IN_LAYER.items():
            shapes[f"{prefix}{name}.weight"] = (sizes[rows], sizes[columns])
            shapes[f"{prefix}{name}.bias"] = (sizes[rows],)
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    return shapes | {f"{norm}.{kind}": (hidden,) for norm in norms for kind in ("weight", "bias")}


def shards(folder: Path, name: str) -> dict[str, str] | None:
    """File name of the shard of every tensor, as the index says; None where there is no index.

    Args:
        folder: checkpoint folder.
        name: what messages call it.

    Raises:
        UserError: the index is broken, or names a file that is no file of the folder.
    """
    path = folder / INDEX
    if (folder / WEIGHTS).is_file() or not path.is_file():
        return None
    told = f"{name}: {INDEX}"
    places = read_object(path, told).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{told}: has no `weight_map`, which names the shard of every tensor")
    for tensor, file in places.items():
        if not isinstance(file, str) or not SHARD_NAME.fullmatch(file):
            raise UserError(
                f"{told}: puts tensor '{tensor[:80]}' into {str(file)[:80]!r}, which is no name of "
                "a safetensors file beside the index"
            )
        if not (folder / file).is_file():
            raise UserError(f"{told}: names the shard '{file}', which is not there; fetch it, too")
    return places


class Weights:
    """Tensors of a checkpoint by their plain BERT names.

    Checkpoints of a model with heads put `bert.` before the names, other programs put `module.`,
    `model.` and more; old ones call the weight and bias of a layer norm gamma and beta
    (bert-base-uncased does both). The one prefix under which everything fits is taken.
    """

    def __init__(self, folder: Path, config: BertConfig, name: str | None = None):
        """Read the headers, find the prefix and compare every shape with `config`.

        Args:
            folder: checkpoint folder.
            config: what its `config.json` says.
            name: what messages call the folder; None: its path.

        Raises:
            UserError: a file cannot be read, index and shards disagree, the tensors are not those
                of a BERT of these sizes, or those of more than one.
        """
        self.folder = folder
        self.name = name or str(folder)
        self._file_of: dict[str, str] = {}
        self._files = self._open()
        self.prefix = self._find_prefix(config)
        self.names = self._below(self.prefix)
        head = self.prefix.removesuffix("bert.") + "cls."
        self._heads = {f"cls.{k}": v for k, v in self._below(head).items()}

    def _open(self) -> dict[str, Any]:
        """The open file of every tensor."""
        places = shards(self.folder, self.name)
        files = sorted(set(places.values())) if places else [WEIGHTS]
        found: dict[str, Any] = {}
        for file in files:
            for tensor, opened in self._tensors_of(file).items():
                if tensor in found:
                    raise UserError(f"{self.name}: tensor '{tensor}' is in two shards")
                if places is not None and places.get(tensor) != file:
                    raise UserError(
                        f"{self.name}: tensor '{tensor}' is in '{file}', but {INDEX} puts it into "
                        f"{places.get(tensor)!r}; fetch index and shards of one revision"
                    )
                found[tensor] = opened
                self._file_of[tensor] = file
        absent = sorted(places.keys() - found.keys()) if places else []
        if absent:
            raise UserError(
                f"{self.name}: tensor '{absent[0]}' is in none of the shards, though {INDEX} puts "
                f"it into '{places[absent[0]]}'; fetch index and shards of one revision"
            )
        return found

    @property
    def _shown_files(self) -> str:
        files = sorted(set(self._file_of.values()))
        return files[0] if len(files) == 1 else f"the {len(files)} shards"

    def _tensors_of(self, file: str) -> dict[str, Any]:
        path = self.folder / file
        if is_lfs_pointer(path):
            raise UserError(lfs_message(f"{self.name}: {file}"))
        try:
            opened = safe_open(path, framework="pt")
            return dict.fromkeys(opened.keys(), opened)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{self.name}: {file} cannot be read as safetensors ({error})"
            ) from None

    def _below(self, prefix: str) -> dict[str, str]:
        """Names in the files by plain names, of the tensors that begin with `prefix`."""
        found: dict[str, str] = {}
        for name in self._files:
            if not name.startswith(prefix):
                continue
            plain = name.removeprefix(prefix).replace("LayerNorm.gamma", "LayerNorm.weight")
            plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
            if plain in found:
                raise UserError(f"{self.name}: '{found[plain]}' and '{name}' are the same tensor")
            found[plain] = name
        return found

    def _find_prefix(self, config: BertConfig) -> str:
        prefixes = [n.removesuffix(_WORDS) for n in self._files if n.endswith(_WORDS)]
        # Of "x.embeddings...", "ax.embeddings..." is no other prefix: names end at dots.
        prefixes = sorted(p for p in prefixes if not p or p.endswith("."))
        if not prefixes:
            held = ", ".join(f"'{name[:80]}'" for name in sorted(self._files)[:3]) or "nothing"
            raise UserError(
                f"{self.name}: has no tensor '{_WORDS}' under any prefix (it holds {held}, ...): "
                "these are not the weights of a BERT encoder"
            )
        wanted = tensor_shapes(config)
        faults = {prefix: self._fault(self._below(prefix), wanted) for prefix in prefixes}
        fitting = [prefix for prefix, fault in faults.items() if fault is None]
        if len(fitting) > 1:
            raise UserError(
                f"{self.name}: holds {len(fitting)} encoders, under the prefixes "
                f"{', '.join(map(repr, fitting))}; save the one that is meant in a folder of "
                "its own"
            )
        if not fitting:
            told = "; ".join(
                (f"under the prefix '{prefix}' " if prefix else "") + f"{fault}"
                for prefix, fault in faults.items()
            )
            raise UserError(
                f"{self.name}: {told}: this is not a checkpoint of the architecture in its "
                "config.json"
            )
        return fitting[0]

    def _fault(self, names: dict[str, str], wanted: dict[str, tuple[int, ...]]) -> str | None:
        """The first tensor that does not fit, in words; None where all fit."""
        fault = self._fault_of(names, wanted)
        if fault:
            return fault
        if "pooler.dense.weight" not in names:
            return None
        hidden = wanted[_WORDS][1]
        pooler = {"pooler.dense.weight": (hidden, hidden), "pooler.dense.bias": (hidden,)}
        return self._fault_of(names, pooler)

    def _fault_of(self, names: dict[str, str], wanted: dict[str, tuple[int, ...]]) -> str | None:
        for plain, shape in wanted.items():
            if plain not in names:
                return f"tensor '{plain}' is missing in {self._shown_files}"
            fault = self._unlike(names[plain], shape)
            if fault:
                return fault
        return None

    def _unlike(self, name: str, shape: tuple[int, ...]) -> str | None:
        header = self._files[name].get_slice(name)
        if tuple(header.get_shape()) != shape:
            return (
                f"tensor '{name}' of {self._file_of[name]} has shape "
                f"{list(header.get_shape())}, config.json says {list(shape)}"
            )
        if header.get_dtype() not in _FLOATS:
            return (
                f"tensor '{name}' is stored as {header.get_dtype()}, not as floating-point numbers "
                "of 16, 32 or 64 bits (quantised?)"
            )
        return None

    @property
    def has_pooler(self) -> bool:
        """Whether the encoder came with one; sentence encoders are often published without."""
        return "pooler.dense.weight" in self.names

    def head(self, name: str) -> str | None:
        """Name in the file of a tensor of the head of masked language modelling, such as
        `cls.predictions.bias`; None where there is none."""
        return self._heads.get(name)

    def get(self, name: str, shape: list[int]) -> torch.Tensor:
        """A tensor in fp32.

        Args:
            name: plain name of a tensor of the encoder or of a head.
            shape: what it must have.

        Raises:
            UserError: of another shape, not finite or not readable.
        """
        stored = self.names.get(name) or self._heads[name]
        fault = self._unlike(stored, tuple(shape))
        if fault:
            raise UserError(f"{self.name}: {fault}")
        try:
            tensor = self._files[stored].get_tensor(stored).float()
        except (OSError, SafetensorError) as error:
            raise UserError(f"{self.name}: tensor '{stored}' cannot be read ({error})") from None
        if not tensor.isfinite().all():
            raise UserError(f"{self.name}: {self._file_of[stored]}, '{stored}' is not finite")
        return tensor

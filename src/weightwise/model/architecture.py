"""What the `config.json` of a checkpoint says of its architecture. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from weightwise.errors import UserError
from weightwise.untrusted import read_object

Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
# Models of `transformers` that are a BERT encoder with or without a head.
ARCHITECTURES = frozenset(
    "Bert" + rest
    for rest in (
        "Model",
        "ForPreTraining",
        "ForMaskedLM",
        "ForNextSentencePrediction",
        "ForSequenceClassification",
        "ForMultipleChoice",
        "ForTokenClassification",
        "ForQuestionAnswering",
    )
)
# Values under which these keys change nothing; under any other the model is not a plain BERT.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
}
_Size = Annotated[int, Field(ge=1, le=1 << 24, strict=True)]
_Probability = Annotated[float, Field(ge=0, lt=1, strict=True)]


class BertConfig(BaseModel):
    """The sizes of a BERT encoder, as in the `config.json` of a Hugging Face checkpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    vocab_size: _Size
    hidden_size: Annotated[int, Field(ge=1, le=1 << 16, strict=True)]
    num_hidden_layers: Annotated[int, Field(ge=1, le=1 << 10, strict=True)]
    num_attention_heads: Annotated[int, Field(ge=1, le=1 << 16, strict=True)]
    intermediate_size: Annotated[int, Field(ge=1, le=1 << 20, strict=True)]
    max_position_embeddings: _Size
    type_vocab_size: Annotated[int, Field(ge=1, le=1 << 16, strict=True)] = 2
    hidden_act: Activation = "gelu"
    layer_norm_eps: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-12
    hidden_dropout_prob: _Probability = 0.1
    attention_probs_dropout_prob: _Probability = 0.1

    @model_validator(mode="after")
    def _divide_into_heads(self) -> BertConfig:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")
        return self

    @classmethod
    def read(cls, path: Path, name: str | None = None) -> BertConfig:
        """Read a `config.json`.

        Args:
            path: the file.
            name: what messages call it; None: its path.

        Raises:
            UserError: not readable, of another architecture, or with sizes that do not fit.
        """
        name = name or str(path)
        data = read_object(path, name)
        _refuse_other_architectures(data, name)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UserError(f"{name}: {_told(error)}") from None

    def resized(self, **sizes: int) -> BertConfig:
        """The same but for these sizes."""
        return self.model_copy(update=sizes)


def layers_kept(layers: int | Sequence[int] | None, available: int) -> list[int]:
    """Numbers of the checkpoint's layers to keep, ascending.

    Args:
        layers: the first so many, or their numbers from 0, or None for all.
        available: layers of the checkpoint.

    Raises:
        UserError: there are no such layers.
    """
    if layers is None:
        return list(range(available))
    wanted = list(range(layers)) if isinstance(layers, int) else list(layers)
    if not wanted or wanted != sorted(set(wanted)) or wanted[-1] >= available:
        raise UserError(
            f"encoder.layers: {layers} asked for, but the checkpoint has {available} layers; give "
            f"a number up to {available}, or ascending layer numbers from 0 to {available - 1}"
        )
    return wanted


def _refuse_other_architectures(data: dict[str, Any], name: str) -> None:
    stated = data.get("architectures")
    stated = [a for a in stated if isinstance(a, str)] if isinstance(stated, list) else []
    kind = data.get("model_type")
    if kind is None and not ARCHITECTURES & set(stated):
        if stated:
            raise UserError(
                f"{name}: the architecture is {_shown(stated[0])}; weightwise loads BERT encoders "
                '(`"model_type": "bert"`): choose a checkpoint of that architecture'
            )
        raise UserError(
            f"{name}: says neither `model_type` nor `architectures`, so nobody can know what the "
            'weights are; if they are a BERT encoder\'s, add `"model_type": "bert"`'
        )
    if kind is not None and kind != "bert":
        raise UserError(
            f"{name}: model_type is {_shown(kind)}; weightwise loads BERT encoders (model_type "
            "'bert'): choose a checkpoint of that architecture"
        )
    for key, plain in _PLAIN.items():
        if key in data and data[key] not in plain:
            raise UserError(
                f"{name}: {key} is {_shown(data[key])}; weightwise loads plain BERT encoders only "
                f"({key} {_shown(plain[0])} or left out): choose another checkpoint"
            )
    code = data.get("auto_map")
    if isinstance(code, dict) and code.keys() & {"AutoModel", "AutoConfig"}:
        raise UserError(
            f"{name}: `auto_map` says that the architecture is code of its own, which weightwise "
            "does not run: choose a checkpoint of a plain BERT encoder"
        )


def _told(error: ValidationError) -> str:
    """All that is wrong in the sizes, in one sentence."""
    found = []
    for one in error.errors(include_url=False, include_context=False):
        key = str(one["loc"][0]) if one["loc"] else None
        if key is None:
            found.append(one["msg"].removeprefix("Value error, "))
        elif one["type"] == "missing":
            found.append(f"{key} is missing")
        elif key == "hidden_act":
            known = ", ".join(get_args(Activation))
            found.append(f"hidden_act is {_shown(one['input'])}, supported are {known}")
        else:
            message = one["msg"].replace("Input should be", "must be")
            found.append(f"{key} is {_shown(one['input'])}, it {message}")
    return "; ".join(found)


def _shown(value: Any) -> str:
    """A value of a file, at most 60 characters of it."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a longer number"
    return text if len(text) <= 60 else text[:57] + "..."

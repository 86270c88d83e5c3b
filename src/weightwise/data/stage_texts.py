"""From the sources of a study's stages to prepared texts and token ids, and the facts of both.

A stage's texts are a table of the schema `Examples`, whose split `dev` is what the stage holds out.
`mlm`: a text per row, label 0. `simcse`: premise and hypothesis, label 1 where the one entails the
other and 0 where it contradicts it. Facts of a stage, as `checks.json` holds them under "stages":

    {"kind", "licence": text or null, "source": {"description", "sha256", "rows", "unit"},
     "dropped": {reason: rows}, "control_characters",
     "texts": {"train", "held_out"}: texts, or premises,
     "hard_negatives": {"train", "held_out"} premises that have one; null for `mlm`,
     "shared": [{"task", "split", "rows", "share"}] rows of dev and test of the study's tasks any of
               whose texts the stage has seen; "held out" of the stage itself: its own held-out rows
               with a sentence that it is trained on,
     "tokens": {"longest", "unknown_share"}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from weightwise.config import StudyConfig
from weightwise.config.stages import SimcseStage, StageBase
from weightwise.data.prepare import Reader
from weightwise.data.selection import matching_rows
from weightwise.data.sources import SourceTable
from weightwise.data.texts import read_texts, same_text_key, sentence_keys
from weightwise.data.tokenless import Tokenless
from weightwise.data.tokens import load_tokenizer, tokenise
from weightwise.errors import UserError
from weightwise.layout import Layout
from weightwise.model.encoder import BertConfig
from weightwise.seeding import numpy_generator
from weightwise.stages.definition import longest
from weightwise.tables import Examples, write_table


def prepare_stage(
    study: StudyConfig,
    name: str,
    layout: Layout,
    read: Reader,
    examples: dict[str, pd.DataFrame],
    has_pooler: bool,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Read, check, divide and tokenise the texts of a stage.

    Args:
        study: the study.
        name: the stage's.
        layout: where the study's files lie; its encoder is there already.
        read: reads a source.
        examples: prepared rows of the study's tasks.
        has_pooler: whether the encoder has a pooler.
        report: told one line.

    Returns:
        Facts, laid out as the module says.

    Raises:
        UserError: an empty source, one without entailments or contradictions, an encoder that
            cannot be trained so; the message names the stage.
    """
    stage = study.stages[name]
    _refuse_unfit_encoder(study, name, layout, has_pooler)
    table = read(stage.source)
    if stage.known_rows is not None and stage.known_rows != len(table.frame):
        raise UserError(
            f"{table.name}: has {len(table.frame):,} rows where `known_rows` of stage '{name}' "
            f"says {stage.known_rows:,}; check `quoting` and `columns`, or correct `known_rows`"
        )
    dropped: Counter[str] = Counter()
    keep = np.ones(len(table.frame), dtype=bool)
    for rule in stage.where:
        keep &= matching_rows(rule, table)
    dropped["by `where`"] = int((~keep).sum())
    rows, replaced = _texts(name, stage, table, np.flatnonzero(keep), dropped)
    if isinstance(stage, SimcseStage):
        rows = _pairs(name, stage, table, rows, dropped)
    if rows.empty:
        why = ", ".join(f"{n} {reason}" for reason, n in dropped.items() if n) or "it has no row"
        raise UserError(f"stage '{name}': no text is left of {table.name} ({why})")
    rows = _divide(name, stage, rows, study.study_seed, dropped)
    write_table(rows[list(Examples.to_schema().columns)], Examples, layout.stage_texts(name))
    tokens = tokenise(layout.stage_texts(name), layout.encoder, layout.stage_tokens(name))
    counts = rows.drop_duplicates("key")["split"].value_counts()
    named = {"train": "train", "held_out": "dev"}
    texts = {key: int(counts[split]) for key, split in named.items()}
    hard = None
    if isinstance(stage, SimcseStage):
        negative = rows[rows["label"] == 0].drop_duplicates("key")["split"].value_counts()
        hard = {key: int(negative.get(split, 0)) for key, split in named.items()}
    what = "premises" if hard else "texts"
    report(f"stage {name}: {texts['train']:,} {what}, {texts['held_out']:,} held out")
    return {
        "kind": stage.kind,
        "licence": stage.licence,
        "source": {
            "description": table.description,
            "sha256": table.sha256,
            "rows": len(table.frame),
            "unit": table.unit,
        },
        "dropped": {reason: count for reason, count in dropped.items() if count},
        "control_characters": replaced,
        "texts": texts,
        "hard_negatives": hard,
        "shared": [*_held_out_known(name, rows), *_shared(rows, examples)],
        "tokens": {key: tokens[key] for key in ("longest", "unknown_share")},
    }


def _refuse_unfit_encoder(study: StudyConfig, name: str, layout: Layout, has_pooler: bool) -> None:
    stage = study.stages[name]
    positions = BertConfig.read(layout.encoder / "config.json").max_position_embeddings
    if longest(study, stage) > positions:
        raise UserError(
            f"stages.{name}.max_length: {longest(study, stage)} asked for, but the encoder has "
            f"{positions} positions"
        )
    if stage.kind == "mlm" and load_tokenizer(layout.encoder)[0].token_to_id("[MASK]") is None:
        raise UserError(
            f"stage '{name}': the encoder's tokenizer has no [MASK], so nothing can be masked; "
            "choose a checkpoint that was pre-trained by masked language modelling"
        )
    if isinstance(stage, SimcseStage) and stage.representation == "pooler" and not has_pooler:
        raise UserError(
            f"stages.{name}.representation: the checkpoint has no pooler; use cls or mean"
        )


def _texts(
    name: str, stage: StageBase, table: SourceTable, positions: np.ndarray, dropped: Counter[str]
) -> tuple[pd.DataFrame, int]:
    """Rows `position`, `row`, `text_a`, `text_b`, and texts whose control characters went."""
    columns, empties, replaced = [], [], 0
    for column in stage.text:
        texts, blank, spaces = clean_texts(table, column, positions)
        replaced += spaces
        if blank.any() and stage.empty_text == "refuse":
            first = int(positions[np.flatnonzero(blank)[0]])
            raise UserError(
                f"{table.at(first)}, column '{column}': {int(blank.sum())} rows of stage '{name}' "
                "have an empty text, this one first; set `empty_text: drop` to leave them out"
            )
        columns.append(texts)
        empties.append(blank)

    def frame(text_a: np.ndarray, text_b: Any, keep: np.ndarray) -> pd.DataFrame:
        made = {"position": positions, "row": table.rows[positions], "text_a": text_a}
        return pd.DataFrame(made | {"text_b": text_b, "label": 0.0})[keep]

    if isinstance(stage, SimcseStage):
        kept = ~(empties[0] | empties[1])
        dropped["empty text"] = int((~kept).sum())
        return frame(columns[0], columns[1], kept), replaced
    nothing = np.full(len(positions), None, dtype=object)
    dropped["empty text"] = int(sum(blank.sum() for blank in empties))
    parts = [frame(t, nothing, ~blank) for t, blank in zip(columns, empties, strict=True)]
    return pd.concat(parts, ignore_index=True), replaced


def _pairs(
    name: str, stage: SimcseStage, table: SourceTable, rows: pd.DataFrame, dropped: Counter[str]
) -> pd.DataFrame:
    """The entailed (label 1) and contradicted (0) pairs of the premises that entail something."""
    raw = table.column(stage.label).to_numpy(dtype=object)[rows["position"].to_numpy()]
    said = np.array(["" if value is None else str(value) for value in raw], dtype=object)
    for key in ("entailment", "contradiction"):
        wanted = getattr(stage, key)
        if len(said) and not (said == wanted).any():
            seen = ", ".join(f"'{value}'" for value in sorted(set(said))[:8])
            raise UserError(
                f"stage '{name}': {table.name} has no row whose '{stage.label}' is '{wanted}' "
                f"(there are {seen}); set `{key}` to the value that says so, or choose another "
                "source: the loss needs entailed pairs and contradicted ones"
            )
    known = (said == stage.entailment) | (said == stage.contradiction)
    dropped["neither entailed nor contradicted"] = int((~known).sum())
    rows = rows.assign(label=(said == stage.entailment).astype(float))[known]
    premises = rows["text_a"].map(same_text_key)
    anchored = premises.isin(set(premises[rows["label"] == 1]))
    dropped["contradicted, of a premise that entails nothing"] = int((~anchored).sum())
    return rows[anchored]


def _divide(
    name: str, stage: StageBase, rows: pd.DataFrame, study_seed: int, dropped: Counter[str]
) -> pd.DataFrame:
    """`limit` and `held_out` by text or premise, so that none stands on both sides."""
    rows = rows.assign(key=rows["text_a"].map(same_text_key))
    keys = rows["key"].drop_duplicates().to_numpy()
    generator = numpy_generator(study_seed, 0, f"stage:{name}:texts")
    chosen = generator.permutation(len(keys))[: stage.limit]
    held = round(len(chosen) * stage.held_out)
    least = 2 if isinstance(stage, SimcseStage) else 1  # a lone premise has no negatives
    if held < least or len(chosen) - held < least:
        raise UserError(
            f"stage '{name}': {len(chosen)} texts (premises) are too few to hold out "
            f"{stage.held_out:g} of them; give more, or change `held_out`"
        )
    split = dict.fromkeys(keys[chosen[:held]], "dev") | dict.fromkeys(keys[chosen[held:]], "train")
    rows = rows.assign(split=rows["key"].map(split))
    dropped["beyond `limit`"] = int(rows["split"].isna().sum())
    order = {"train": 0, "dev": 1}
    rows = rows[rows["split"].notna()]
    return rows.sort_values("split", key=lambda s: s.map(order), kind="stable")


def _held_out_known(name: str, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Held-out rows with a sentence that stands in a row of training, in whatever place: no premise
    stands on both sides, but where premises and hypotheses are drawn from one set of sentences, as
    in SICK, a sentence can."""
    keys = {
        split: sentence_keys(part["text_a"], part["text_b"])
        for split, part in rows.groupby("split")
    }
    trained = {text for key in keys["train"] for text in key}
    count = sum(any(text in trained for text in key) for key in keys["dev"])
    share = count / len(keys["dev"])
    return [{"task": name, "split": "held out", "rows": count, "share": share}] if count else []


def _shared(rows: pd.DataFrame, examples: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    seen = {text for key in sentence_keys(rows["text_a"], rows["text_b"]) for text in key}
    found = []
    for task, frame in examples.items():
        for split in ("dev", "test"):
            part = frame[frame["split"] == split]
            keys = sentence_keys(part["text_a"], part["text_b"])
            count = sum(any(text in seen for text in key) for key in keys)
            if count:
                share = count / len(keys)
                found.append({"task": task, "split": split, "rows": count, "share": share})
    return found

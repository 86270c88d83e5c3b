"""From the sources of a study's stages to prepared texts and token ids, and the facts of both.

A stage's texts are a table of the schema `Examples`, whose split `dev` is what the stage holds out.
`mlm`: a text per row, label 0. `simcse`: premise and hypothesis, label 1 where the one entails the
other and 0 where it contradicts it. Facts of a stage, as `checks.json` holds them under "stages":

    {"kind", "licence": text or null, "source": {"description", "sha256", "rows", "unit"},
     "dropped": {reason: rows, of `mlm` beyond `where` texts}, "control_characters",
     "dropped_first": {reason: first row numbers}; all of them are in `NAME.dropped.parquet`,
     "rows": {"train", "held_out"}: rows, of `mlm` texts (one per row and column),
     "texts": {"train", "held_out"}: different texts, or premises,
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
from weightwise.data.dropped import Dropped
from weightwise.data.matching import positions_among
from weightwise.data.prepare import Reader
from weightwise.data.selection import matching_rows
from weightwise.data.sources import SourceTable
from weightwise.data.texts import read_texts, same_text_key, sentence_keys
from weightwise.data.tokenizer import read_tokenizer
from weightwise.data.tokenless import Tokenless
from weightwise.data.tokens import TextWithoutTokens, tokenise
from weightwise.data.values import spelling
from weightwise.errors import UserError
from weightwise.layout import Layout
from weightwise.model.architecture import BertConfig
from weightwise.seeding import numpy_generator
from weightwise.stages.definition import longest
from weightwise.tables import DroppedRows, Examples, write_table

_TABLE = "stage"
_BY_WHERE = "by `where`"


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
    if stage.known_rows is not None and stage.known_rows != table.rows_read:
        raise UserError(
            f"{table.name}: has {table.rows_read:,} rows where `known_rows` of stage '{name}' "
            f"says {stage.known_rows:,}; check `quoting` and `columns`, or correct `known_rows`"
        )
    dropped = Dropped()
    dropped.counts[_TABLE] = Counter()
    for reason, numbers in table.dropped.items():
        dropped.add(_TABLE, reason, numbers)
    keep = np.ones(len(table.frame), dtype=bool)
    for rule in (*stage.source.where, *stage.where):
        keep &= matching_rows(rule, table)
    dropped.add(_TABLE, _BY_WHERE, table.rows[~keep])
    tokenless = Tokenless(layout.encoder)
    rows, replaced = _texts(name, stage, table, np.flatnonzero(keep), dropped, tokenless)
    if isinstance(stage, SimcseStage):
        rows = _pairs(name, stage, table, rows, dropped)
    if rows.empty:
        why = dropped.told() or "it has no row"
        raise UserError(f"stage '{name}': no text is left of {table.name} ({why})")
    rows = _divide(name, stage, rows, study.study_seed, dropped)
    _refuse_lost_rows(name, stage, table, rows, dropped)
    write_table(rows[list(Examples.to_schema().columns)], Examples, layout.stage_texts(name))
    write_table(dropped.frame(name), DroppedRows, layout.stage_dropped(name))
    try:
        tokens = tokenise(layout.stage_texts(name), layout.encoder, layout.stage_tokens(name))
    except TextWithoutTokens as found:
        at = table.at(int(np.searchsorted(table.rows, found.row)))
        raise UserError(
            f"{at}: the tokenizer leaves no token of a text of stage '{name}'; take the row out"
        ) from None
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
            "rows": table.rows_read,
            "unit": table.unit,
        },
        "dropped": dict(dropped.counts[_TABLE]),
        "dropped_first": dropped.first()[_TABLE],
        "rows": {key: int((rows["split"] == split).sum()) for key, split in named.items()},
        "control_characters": replaced,
        "texts": texts,
        "hard_negatives": hard,
        "shared": [*_held_out_known(name, rows), *_shared(rows, examples)],
        "tokens": {key: tokens[key] for key in ("longest", "unknown_share")},
    }


def _refuse_unfit_encoder(study: StudyConfig, name: str, layout: Layout, has_pooler: bool) -> None:
    stage = study.stages[name]
    config = BertConfig.read(layout.encoder / "config.json")
    positions = config.max_position_embeddings
    if longest(study, stage) > positions:
        raise UserError(
            f"stages.{name}.max_length: {longest(study, stage)} asked for, but the encoder has "
            f"{positions} positions"
        )
    if (
        stage.kind == "mlm"
        and read_tokenizer(layout.encoder, embeddings=config.vocab_size).mask is None
    ):
        raise UserError(
            f"stage '{name}': the encoder's tokenizer has no [MASK], so nothing can be masked; "
            "choose a checkpoint that was pre-trained by masked language modelling"
        )
    if isinstance(stage, SimcseStage) and stage.representation == "pooler" and not has_pooler:
        raise UserError(
            f"stages.{name}.representation: the checkpoint has no pooler; use cls or mean"
        )


def _texts(
    name: str,
    stage: StageBase,
    table: SourceTable,
    positions: np.ndarray,
    dropped: Dropped,
    tokenless: Tokenless,
) -> tuple[pd.DataFrame, int]:
    """Rows `position`, `row`, `text_a`, `text_b`, and texts whose control characters went."""
    refuse = f"rows of stage '{name}'" if stage.empty_text == "refuse" else None
    columns, nothings, replaced = [], [], 0
    for column in stage.text:
        texts, nothing, spaces = read_texts(table, column, positions, refuse, tokenless)
        replaced += spaces
        columns.append(texts)
        nothings.append(nothing)

    def frame(text_a: np.ndarray, text_b: Any, *nothing: dict[str, np.ndarray]) -> pd.DataFrame:
        keep = np.ones(len(positions), dtype=bool)
        for reason in nothing[0]:
            lost = np.any([one[reason] for one in nothing], axis=0) & keep
            dropped.add(_TABLE, reason, table.rows[positions[lost]])
            keep &= ~lost
        made = {"position": positions, "row": table.rows[positions], "text_a": text_a}
        return pd.DataFrame(made | {"text_b": text_b, "label": 0.0})[keep]

    if isinstance(stage, SimcseStage):
        return frame(*columns, *nothings), replaced
    none = np.full(len(positions), None, dtype=object)
    parts = [frame(t, none, one) for t, one in zip(columns, nothings, strict=True)]
    return pd.concat(parts, ignore_index=True), replaced


def _refuse_lost_rows(
    name: str, stage: StageBase, table: SourceTable, rows: pd.DataFrame, dropped: Dropped
) -> None:
    """Hold the texts read against those kept and those left out, row number by row number."""
    texts = 1 if isinstance(stage, SimcseStage) else len(stage.text)  # of a row
    found = [rows["row"].to_numpy()]
    # A row that left before its texts were looked at left with all of them.
    whole = {_BY_WHERE, *table.dropped}
    for _, reason, lost in dropped.parts:
        found += [lost] * (texts if reason in whole else 1)
    together = np.sort(np.concatenate(found))
    if not np.array_equal(together, np.repeat(table.all_rows, texts)):
        raise RuntimeError(
            f"stage '{name}': {table.rows_read * texts:,} texts were read, and {len(together):,} "
            "were kept or left out; this is a fault of weightwise"
        )


def _pairs(
    name: str, stage: SimcseStage, table: SourceTable, rows: pd.DataFrame, dropped: Dropped
) -> pd.DataFrame:
    """The entailed (label 1) and contradicted (0) pairs of the premises that entail something."""
    raw = table.column(stage.label).to_numpy(dtype=object)[rows["position"].to_numpy()]
    meant = (stage.entailment, stage.contradiction)
    said = positions_among(raw, meant, table.decimal)
    for number, key in enumerate(("entailment", "contradiction")):
        if len(said) and not (said == number).any():
            seen = ", ".join(f"'{text}'" for text in sorted({spelling(v) or "" for v in raw})[:8])
            raise UserError(
                f"stage '{name}': {table.name} has no row whose '{stage.label}' is "
                f"'{meant[number]}' "
                f"(there are {seen}); set `{key}` to the value that says so, or choose another "
                "source: the loss needs entailed pairs and contradicted ones"
            )
    known = said >= 0
    numbers = rows["row"].to_numpy()
    dropped.add(_TABLE, "neither entailed nor contradicted", numbers[~known])
    rows = rows.assign(label=(said == 0).astype(float))[known]
    premises = rows["text_a"].map(same_text_key)
    anchored = premises.isin(set(premises[rows["label"] == 1]))
    reason = "contradicted, of a premise that entails nothing"
    dropped.add(_TABLE, reason, rows["row"].to_numpy()[~anchored])
    return rows[anchored]


def _divide(
    name: str, stage: StageBase, rows: pd.DataFrame, study_seed: int, dropped: Dropped
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
    dropped.add(_TABLE, "beyond `limit`", rows.loc[rows["split"].isna(), "row"].to_numpy())
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

"""The whole data stage of a study: rows, encoder, token ids and the facts of all three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from weightwise.config import StudyConfig
from weightwise.data.fit import (
    refuse_unfit_encoder,
    refuse_unknown_ids,
    text_facts,
    unknown_id,
)
from weightwise.data.prepare import prepare
from weightwise.data.sources import read_table_source
from weightwise.data.stage_texts import prepare_stage
from weightwise.data.tokens import TextWithoutTokens, load_splits, load_tokenizer, tokenise
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.grid import Grid
from weightwise.layout import Layout
from weightwise.model.checkpoint import load_encoder
from weightwise.model.encoder import Encoder
from weightwise.stages.definition import longest as longest_sequence
from weightwise.tables import Examples, read_table


def prepare_study(
    study: StudyConfig, layout: Layout, report: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Prepare rows and encoder, tokenise every task, write `checks.json` last.

    Args:
        study: the study.
        layout: where its files lie.
        report: told one line per thing done.

    Returns:
        The facts of `weightwise.data.checks`, with "tokens" added per split of every task, see
        `fit.text_facts`.

    Raises:
        UserError: anything wrong in the sources, the encoder or the tokenizer; there is then no
            `checks.json`, and nothing takes the folder for prepared.
    """
    # Refused here, once, rather than in every run: groupings without weights, an unfit encoder.
    list(Grid(study).cells)
    longest = study.encoder.max_length
    loaded: list[Encoder] = []

    def accept(facts: dict[str, Any]) -> None:
        encoder = load_encoder(layout.encoder, study.encoder.layers, longest=longest)
        refuse_unfit_encoder(study, encoder.config, encoder.has_pooler, facts["source"])
        loaded.append(encoder)

    checks = prepare(study, layout.data, layout.cache, report, accept)
    encoder, source = loaded[0], checks["encoder"]["source"]
    layout.checks.unlink(missing_ok=True)
    tokenizer, special = load_tokenizer(layout.encoder)
    unknown = unknown_id(tokenizer)
    for name in study.tasks:
        try:
            tokenise(layout.examples(name), layout.encoder, layout.tokens(name))
        except TextWithoutTokens as found:
            raise UserError(_without_tokens(study, name, checks["tasks"][name], found)) from None
        splits = load_splits(layout.tokens(name))
        for split, facts in text_facts(splits, longest, unknown).items():
            checks["tasks"][name]["splits"][split]["tokens"] = facts
        report(f"{name}: tokenised")
    if study.stages:
        _prepare_stages(study, layout, encoder, checks, report)
        for name, stage in study.stages.items():
            splits = load_splits(layout.stage_tokens(name))
            checks["stages"][name]["splits"] = text_facts(
                splits, longest_sequence(study, stage), unknown
            )
    refuse_unknown_ids(_token_ids(study, layout), special, tokenizer, encoder.config, source)
    write_json(layout.checks, checks)
    return checks


def _token_ids(study: StudyConfig, layout: Layout) -> Iterator[tuple[str, np.ndarray]]:
    """Whose texts, and their token ids [n]: of every task and stage."""
    files = {f"task '{name}'": layout.tokens(name) for name in study.tasks}
    files |= {f"stage '{name}'": layout.stage_tokens(name) for name in study.stages}
    for whose, path in files.items():
        for split in load_splits(path).values():
            yield whose, split.a
            if split.b is not None:
                yield whose, split.b


def _without_tokens(
    study: StudyConfig, name: str, facts: dict[str, Any], found: TextWithoutTokens
) -> str:
    """A text that passed for one with tokens, by the file and row that the user knows."""
    source = next(one for one in facts["sources"] if found.split in one["splits"])
    column = study.tasks[name].text[found.side]
    return (
        f"{source['description']}, {source['unit']} {found.row}, column '{column}': the tokenizer "
        f"leaves no token of this text, which is in {found.split} of task '{name}'; take the row "
        "out, or correct the text"
    )


def _prepare_stages(
    study: StudyConfig,
    layout: Layout,
    encoder: Encoder,
    checks: dict[str, Any],
    report: Callable[[str], None],
) -> None:
    """The texts of every stage; their facts and warnings join `checks`."""
    data_dir = Path(study.data_dir).expanduser() if study.data_dir else None
    examples = {task: read_table(layout.examples(task), Examples) for task in study.tasks}
    checks["stages"] = {}
    for name in study.stages:
        facts = prepare_stage(
            study,
            name,
            layout,
            lambda source: read_table_source(source, data_dir, layout.cache),
            examples,
            encoder.has_pooler,
            report,
        )
        checks["stages"][name] = facts
        checks["warnings"] += [_leak(name, one) for one in facts["shared"]]


def _leak(stage: str, one: dict) -> str:
    """What must be said of rows that share a text with a stage's."""
    if one["split"] == "held out":
        return (
            f"stage {stage}: of the held-out rows {one['rows']:,} ({one['share']:.1%}) have a "
            "sentence that it is trained on, so its held-out measures are optimistic"
        )
    return (
        f"stage {stage}: of the {one['split']} rows of {one['task']} {one['rows']:,} "
        f"({one['share']:.1%}) have a text that the stage is trained on or holds out"
    )

"""The whole data stage of a study: rows, encoder, token ids and the facts of all three."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from weightwise.config import StudyConfig
from weightwise.data.definition import source_files
from weightwise.data.fit import (
    refuse_unfit_encoder,
    refuse_unknown_ids,
    text_facts,
    unknown_id,
)
from weightwise.data.prepare import prepare
from weightwise.data.prepared import RECORD, Asked, asked, entry, read_record
from weightwise.data.sources import read_table_source
from weightwise.data.stage_texts import prepare_stage
from weightwise.data.tokens import TextWithoutTokens, load_splits, load_tokenizer, tokenise
from weightwise.errors import UserError
from weightwise.files import locked, new_folder, read_json, write_json
from weightwise.grid import Grid, digest
from weightwise.layout import Layout
from weightwise.model.checkpoint import load_encoder
from weightwise.model.encoder import Encoder
from weightwise.seal import checksums
from weightwise.stages.definition import longest as longest_sequence
from weightwise.tables import Examples, read_table


def prepare_study(
    study: StudyConfig, layout: Layout, report: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Prepare rows and encoder and tokenise every task, unless the store has them.

    They appear in the store whole or not at all; another process that prepares the same is waited
    for.

    Args:
        study: the study.
        layout: where its files lie; it is told where the prepared data are.
        report: told one line per thing done.

    Returns:
        The facts of `weightwise.data.checks`, with "tokens" added per split of every task, see
        `fit.text_facts`; "definition": what the data were made of; "files": the checksums of the
        files beside them.

    Raises:
        UserError: anything wrong in the sources, the encoder or the tokenizer; nothing is in the
            store then.
    """
    # Refused here, once, rather than in every run: groupings without weights, an unfit encoder.
    list(Grid(study).cells)
    for line in _of_the_future(study):
        report(line)
    wanted = asked(study, layout)
    with locked(layout.data_store, wanted.digest):
        found = entry(layout, wanted.digest)
        if isinstance(found, Layout):
            # Keys of training, which the data do not depend on, may ask another thing of it.
            _fitting_encoder(study, found.encoder, read_json(found.checks)["encoder"])
            report(f"prepared already: {found.data}")
        else:
            if found is not None:
                report(f"{found}; prepared again")
            with new_folder(layout.data_store / wanted.digest) as folder:
                _prepare_into(folder, study, layout, wanted, report)
            found = layout.with_data(
                layout.data_store / wanted.digest,
                layout.encoder_store / read_record(layout, wanted.digest).encoder.folder,
            )
    layout.data_folder, layout.encoder_folder = found.data, found.encoder
    return read_json(found.checks)


def _prepare_into(
    folder: Path,
    study: StudyConfig,
    layout: Layout,
    wanted: Asked,
    report: Callable[[str], None],
) -> None:
    loaded: list[Encoder] = []
    checks = prepare(
        study,
        folder,
        layout.cache,
        report,
        lambda facts: loaded.append(_fitting_encoder(study, folder / "encoder", facts)),
    )
    encoder, source = loaded[0], checks["encoder"]["source"]
    (folder / RECORD).unlink()
    encoder_folder, sums = _keep_encoder(folder / "encoder", layout.encoder_store)
    checks["encoder"] |= {"folder": encoder_folder.name, "checksums": sums}
    here = layout.with_data(folder, encoder_folder)
    tokenizer, special = load_tokenizer(here.encoder)
    unknown = unknown_id(tokenizer)
    for name in study.tasks:
        try:
            tokenise(here.examples(name), here.encoder, here.tokens(name))
        except TextWithoutTokens as found:
            raise UserError(_without_tokens(study, name, checks["tasks"][name], found)) from None
        splits = load_splits(here.tokens(name))
        for split, facts in text_facts(splits, study.encoder.max_length, unknown).items():
            checks["tasks"][name]["splits"][split]["tokens"] = facts
        report(f"{name}: tokenised")
    if study.stages:
        _prepare_stages(study, here, encoder, checks, report)
        for name, stage in study.stages.items():
            splits = load_splits(here.stage_tokens(name))
            checks["stages"][name]["splits"] = text_facts(
                splits, longest_sequence(study, stage), unknown
            )
    refuse_unknown_ids(_token_ids(study, here), special, tokenizer, encoder.config, source)
    if asked(study, layout).digest != wanted.digest:
        raise UserError("a source was changed while it was read; start the same command again")
    checks["definition"] = wanted.definition
    checks["files"] = checksums(folder)
    write_json(folder / RECORD, checks)


def _fitting_encoder(study: StudyConfig, folder: Path, facts: dict[str, Any]) -> Encoder:
    encoder = load_encoder(folder, study.encoder.layers, longest=study.encoder.max_length)
    refuse_unfit_encoder(study, encoder.config, encoder.has_pooler, facts["source"])
    return encoder


def _keep_encoder(folder: Path, store: Path) -> tuple[Path, dict[str, str]]:
    """Move a checkpoint's folder into the store, which has each encoder once.

    Returns:
        Its folder there, named by its content, and the checksums of its files.
    """
    sums = checksums(folder)
    name = digest(sums)[:32]
    with locked(store, name):
        if not (store / name).is_dir() or checksums(store / name) != sums:
            with new_folder(store / name) as kept:
                shutil.copytree(folder, kept, dirs_exist_ok=True)
        shutil.rmtree(folder)
    return store / name, sums


def _of_the_future(study: StudyConfig) -> Iterator[str]:
    for path in dict.fromkeys(source_files(study).values()):
        with suppress(OSError):
            if path.stat().st_mtime > time.time() + 60:
                yield f"{path}: its date lies in the future; content decides, so nothing follows"


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

"""What prepared data were made from: their part of the configuration, and the content of the files.

Prepared data carry both, so that whoever reads them can refuse those of another study by name, and
content decides whether they are due: a file that is replaced by one with an older date counts.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weightwise.config import StudyConfig
from weightwise.config.sources import EncoderDirectory, FileSource
from weightwise.data.download import file_sha256
from weightwise.data.encoder_files import encoder_files
from weightwise.errors import UserError
from weightwise.grid import digest
from weightwise.stages.definition import texts_definition

NOT_IN_THE_DATA = {
    "title",
    "licence",
    "id",
    "head",
    "representation",
    "decoder",
    "output",
    "loss",
}
"""Keys of a task that leave its rows alone."""


def data_definition(study: StudyConfig) -> dict[str, Any]:
    """Everything in the configuration that decides the prepared data, as plain data.

    `training.pair` is in it, since an encoder is refused for it.
    """
    found = {
        "tasks": {
            name: task.model_dump(mode="json", exclude=NOT_IN_THE_DATA)
            for name, task in study.tasks.items()
        },
        "encoder": study.encoder.model_dump(mode="json"),
        "study_seed": study.study_seed,
        "training": {"pair": study.training.pair},
    }
    if study.stages:
        found["stages"] = {name: texts_definition(one) for name, one in study.stages.items()}
    return found


def local_files(study: StudyConfig) -> list[Path]:
    """Files on this machine that data and encoder come from; those that are missing are left to the
    preparation, whose message names the remedy."""
    folder = Path(study.data_dir).expanduser() if study.data_dir else Path()
    sources = [
        source
        for task in study.tasks.values()
        for source in (task.data.train, task.data.dev, task.data.test)
    ]
    sources += [stage.source for stage in study.stages.values()]
    paths = {
        folder / Path(source.path).expanduser()
        for source in sources
        if isinstance(source, FileSource)
    }
    if isinstance(study.encoder.source, EncoderDirectory):
        paths |= set(encoder_files(Path(study.encoder.source.path).expanduser()))
    return sorted(path for path in paths if path.is_file())


def data_digest(study: StudyConfig) -> str:
    """Digest of the definition and of the content of every local file: 16 hexadecimal digits."""
    contents = []
    for path in local_files(study):
        try:
            contents.append([path.name, file_sha256(path)])
        except OSError:  # left to the preparation, as a missing file is
            contents.append([path.name, None])
    return digest([data_definition(study), contents])[:16]


def refuse_other_definition(study: StudyConfig, checks: Mapping[str, Any]) -> None:
    """Refuse prepared data that another configuration made.

    Args:
        study: what is asked for.
        checks: `checks.json` of the prepared data.

    Raises:
        UserError: names the first keys that differ, and what they were prepared with.
    """
    made = checks.get("definition")
    remedy = f"run `snakemake`, or `weightwise prepare`, for study '{study.name}' first"
    if not isinstance(made, Mapping):
        raise UserError(f"the data of study '{study.name}' do not say what made them; {remedy}")
    asked = data_definition(study)
    found = list(_differences(made, asked, ""))
    if found:
        more = f" (and {len(found) - 3} more keys)" if len(found) > 3 else ""
        raise UserError(
            f"the data of study '{study.name}' were prepared with another configuration: "
            f"{'; '.join(found[:3])}{more}; {remedy}"
        )


def _differences(made: Any, asked: Any, key: str) -> Iterator[str]:
    if isinstance(made, Mapping) and isinstance(asked, Mapping):
        for name in dict.fromkeys([*made, *asked]):
            inside = f"{key}.{name}" if key else str(name)
            yield from _differences(made.get(name), asked.get(name), inside)
    elif made != asked:
        yield f"{key} was {_short(made)}, and is {_short(asked)} now"


def _short(value: Any) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

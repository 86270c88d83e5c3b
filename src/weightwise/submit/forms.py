"""The forms that leaderboards take: names of files, their header, their lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from weightwise.config import TaskConfig
from weightwise.errors import UserError
from weightwise.submit.rows import refuse_unwritable

Form = Literal["plain", "glue", "cs224n"]
FORMS = get_args(Form)
# Stem and header of the CS224N default project's files, spelled as there; what a task must be.
SST, PARA, STS = "sst", "para", "sts"
CS224N_HEADERS = {
    SST: "Predicted_Sentiment",
    PARA: "Predicted_Is_Paraphrase",
    STS: "Predicted_Similiary",
}
CS224N_TASKS = {
    SST: "a classification of one text into 5 classes",
    PARA: "a binary task of sentence pairs",
    STS: "a regression of sentence pairs",
}


def file_names(form: Form, split: str, tasks: Mapping[str, TaskConfig]) -> dict[str, str]:
    """The file of every task.

    Raises:
        UserError: the form has no file for a task, or one file for two.
    """
    if form != "cs224n":
        return {name: f"{name}.tsv" for name in tasks}
    stems: dict[str, str] = {}
    for name, task in tasks.items():
        stem = cs224n_stem(task)
        if stem is None:
            raise UserError(
                f"task '{name}': form cs224n has no file for it; it takes "
                f"{', '.join(CS224N_TASKS.values())}: choose tasks with --task, or another --form"
            )
        if stem in stems.values():
            other = next(one for one, taken in stems.items() if taken == stem)
            raise UserError(
                f"tasks '{other}' and '{name}': both are {CS224N_TASKS[stem]}, and form cs224n "
                f"has one file for that ({stem}-{split}-output.csv); choose one with --task"
            )
        stems[name] = stem
    return {name: f"{stem}-{split}-output.csv" for name, stem in stems.items()}


def cs224n_stem(task: TaskConfig) -> str | None:
    """Which of the course's three tasks this one is: `sst`, `para`, `sts`; None: none of them."""
    pair = len(task.text) == 2
    if task.kind == "classification":
        return SST if len(task.class_names) == 5 and not pair else None
    if not pair:
        return None
    return PARA if task.kind == "binary" else STS


def class_texts(
    name: str, task: TaskConfig, form: Form, class_names: bool = False
) -> tuple[str, ...] | None:
    """What is written for every class, in the order of their numbers; None for regression.

    In the source's own terms: of `label_values` the text label; of `cut_points` and `bands`, where
    the source has numbers and no classes, the class's name; else the class's number. The course's
    own programme writes numbers: those of sentiment whole, those of paraphrase as 0.0 and 1.0.

    Args:
        name: the task.
        task: its configuration.
        form: the form.
        class_names: write the names in `classes` whatever the source has.

    Raises:
        UserError: a text that would break the file, or names in a form that takes none.
    """
    if form == "cs224n" and class_names:
        raise UserError("--class-names: form cs224n takes class numbers; leave it out")
    count = len(task.class_names)
    if not count:
        return None
    if form == "cs224n":
        return ("0.0", "1.0") if task.kind == "binary" else tuple(map(str, range(count)))
    if class_names or task.cut_points is not None or task.bands is not None:
        texts, key = task.class_names, "classes"
    elif task.label_values is not None:
        texts, key = task.label_values, "label_values"
    else:
        return tuple(map(str, range(count)))
    for text in texts:
        refuse_unwritable(text, f"task '{name}', `{key}`: the label")
    return texts


def prediction_texts(
    name: str, predictions: Iterable[float], classes: Sequence[str] | None
) -> list[str]:
    """Predictions as they are written.

    Args:
        name: the task.
        predictions: class numbers or real values.
        classes: `class_texts` of the task; None: real values, written with six decimals, never
            with an exponent, and not clipped to the task's `range`.

    Raises:
        UserError: a real value is not finite.
    """
    values = [float(value) for value in predictions]
    if classes is not None:
        return [classes[int(value)] for value in values]
    if not all(map(math.isfinite, values)):
        raise UserError(f"task '{name}': a prediction is not finite; the run cannot be submitted")
    texts = [f"{value:.6f}" for value in values]
    return [text.removeprefix("-") if float(text) == 0 else text for text in texts]


def render(
    form: Form, name: str, task: TaskConfig, ids: Sequence[str], predictions: Sequence[str]
) -> str:
    """The content of a task's file: a header and a line per row.

    Args:
        form: the form.
        name: the task.
        task: its configuration.
        ids: [n] ids; positions from 0 for glue.
        predictions: [n] predictions as they are written.

    Raises:
        UserError: an id holds the comma that separates in form cs224n.
    """
    if form == "cs224n":
        for one in ids:
            if "," in one:
                raise UserError(
                    f"task '{name}': the id {one!r} holds a comma, which separates in form cs224n"
                )
        header, between, end = f"id \t {CS224N_HEADERS[cs224n_stem(task)]} \n", " , ", " \n"
    else:
        header = f"{'index' if form == 'glue' else 'id'}\tprediction\n"
        between, end = "\t", "\n"
    lines = (f"{one}{between}{text}{end}" for one, text in zip(ids, predictions, strict=True))
    return header + "".join(lines)


def row_ids(form: Form, rows: np.ndarray, positions: np.ndarray) -> list[str]:
    """Ids [n] of rows that have none of their own: their position in the source from 0 for glue,
    else their number in the source."""
    return [str(int(one)) for one in (positions if form == "glue" else rows)]

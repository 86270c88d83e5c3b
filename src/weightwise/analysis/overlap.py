"""How the words that two texts share go with labels and predictions.

The mlm paper (section 5, table 1) shows three wrongly predicted paraphrases and reads them as a
focus on shared words. Whether that holds for a whole split is what this table can show.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from weightwise.analysis.chosen import CELL
from weightwise.analysis.errors import texts_of
from weightwise.analysis.intervals import t_interval
from weightwise.tables import Overlap, check, empty

BINS = 5
_WORD = re.compile(r"\w+")


def words(text: str) -> set[str]:
    """The different words of a text: runs of letters, digits and `_` in any script, lower case.

    Composed first (NFC), so that an accent written as a character of its own parts no word.
    """
    return set(_WORD.findall(unicodedata.normalize("NFC", text.lower())))


def lexical_overlap(text_a: str, text_b: str) -> float:
    """Jaccard index of the words of two texts, 0 (none shared) to 1 (all).

    Two texts without any word share none: 0.
    """
    a, b = words(text_a), words(text_b)
    return len(a & b) / len(a | b) if a or b else 0.0


def accuracy_by_overlap(
    predictions: pd.DataFrame,
    examples: Mapping[str, pd.DataFrame],
    classes: Mapping[str, int],
    confidence: float = 0.95,
) -> pd.DataFrame:
    """`tables.Overlap`: per pair task and role five bins of equal width, the last one closed.

    `score` is accuracy for class tasks and the mean absolute error in the label's units for
    regression: of every seed, then the mean over seeds. `label` and `prediction` are means; for
    two classes the shares of class 1, for more classes null, as class numbers have no mean. The
    intervals are t intervals over seeds, cut where the quantity ends (shares at 0 and 1, errors at
    0); null with one seed and where all seeds agree exactly, which in a small bin is chance. They
    tell how much training varies and nothing of other pairs. A bin without pairs has null numbers.

    Args:
        predictions: what `chosen.chosen_predictions` gives.
        examples: `tables.Examples` of every task, at least the rows of its measured split. Tasks
            of single texts are left out.
        classes: number of classes of every class task; all others are regression.
        confidence: of the intervals.

    Raises:
        UserError: a predicted row is not among the examples.
    """
    lines = []
    for (task, role), rows in predictions.groupby(["task", "role"], sort=False):
        known = examples.get(str(task))
        if known is None or known["text_b"].isna().all():
            continue
        place = {column: rows[column].iloc[0] for column in [*CELL, "split"]} | {"role": role}
        own = pd.Series(rows["row"].unique())
        texts = texts_of(own, known, str(task), place["split"]).fillna({"text_b": ""})
        found = [
            lexical_overlap(a, b) for a, b in zip(texts["text_a"], texts["text_b"], strict=True)
        ]
        bins = dict(zip(own, np.minimum(np.floor(np.array(found) * BINS), BINS - 1), strict=True))
        placed = rows.assign(bin=rows["row"].map(bins).astype(int))
        for line in _bins(placed, classes.get(str(task)), confidence):
            lines.append(place | line)
    return check(pd.DataFrame(lines), Overlap, "overlap") if lines else empty(Overlap)


def _bins(rows: pd.DataFrame, classes: int | None, confidence: float) -> Iterator[dict]:
    """A line per bin of one arm."""
    score = (rows["prediction"] - rows["label"]).abs()
    end = np.inf
    if classes:
        score, end = (score == 0).astype(float), 1.0
    rows = rows.assign(score=score)
    for number in range(BINS):
        own = rows[rows["bin"] == number]
        line = {
            "low": number / BINS,
            "high": (number + 1) / BINS,
            "pairs": own["row"].nunique(),
            "seeds": own["seed"].nunique(),
            "measure": "accuracy" if classes else "mean absolute error",
        }
        per_seed = own.groupby("seed")[["score", "label", "prediction"]].mean()
        line |= _over_seeds("score", per_seed, confidence, 0.0, end)
        shares = classes == 2
        if shares or not classes:
            limits = (0.0, 1.0) if shares else (-np.inf, np.inf)
            line |= {"label": per_seed["label"].mean()}
            line |= _over_seeds("prediction", per_seed, confidence, *limits)
        else:
            line |= dict.fromkeys(("label", "prediction", "prediction_low", "prediction_high"))
        yield line


def _over_seeds(
    column: str, per_seed: pd.DataFrame, confidence: float, least: float, most: float
) -> dict[str, float]:
    """Mean of a column over seeds, and its interval inside [least, most]."""
    values = per_seed[column].to_numpy()
    low = high = np.nan
    if len(values) > 1 and np.ptp(values) > 0:
        low, high = np.clip(t_interval(values, confidence), least, most)
    mean = values.mean() if len(values) else np.nan
    return {column: mean, f"{column}_low": low, f"{column}_high": high}

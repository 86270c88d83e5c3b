"""Tables of scores as `weightwise analyse` reads them: hostile cells, columns and bytes."""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet
from edits import edited, edits
from harness import RowsLost, refused
from hypothesis import strategies as st

from weightwise.analysis.run import analyse
from weightwise.analysis.scores import read_scores
from weightwise.errors import UserError

COLUMNS = ("task", "metric", "group", "combiner", "alpha", "seed", "split", "score", "variant")
HOSTILE = (
    *(
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "5e-324",
        "-0.0",
        "0",
        "1",
        "1.0000001",
        "0,5",
        "51.9",
    ),
    *(
        "=1+1",
        "@SUM(A1)",
        "A+A",
        "A+",
        "+",
        "A+B+C",
        "best",
        "baseline",
        "unitary",
        "x\x00y",
        "\ud800",
    ),
    *(
        "9" * 400,
        "1e-999999999",
        "0.30000000000000004",
        "0.5,0.5",
        "0.2,0.3,0.5",
        "<script>",
        "%s{0}",
    ),
    *("dev", "test", "train", "f1", "pearson", "accuracy", "-1", "1.5", "\u202e", "é", "a\nb", "٣"),
)


@dataclass(frozen=True)
class ScoreTable:
    """Cells of a table, how it is written, and what is done to its bytes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    form: str
    changes: list


def _row(task: str, group: str, combiner: str, alpha: str, seed: int, score: float) -> tuple:
    metric = {"A": "accuracy", "B": "pearson"}[task]
    return (task, metric, group, combiner, alpha, str(seed), "dev", f"{score:.3f}", "default")


@st.composite
def _tables(draw: st.DrawFn) -> ScoreTable:
    score = st.floats(0.05, 0.95)
    rows = []
    for seed in range(1, draw(st.integers(1, 3)) + 1):
        for task in "AB":
            rows.append(_row(task, task, "baseline", "", seed, draw(score)))
            for combiner, alpha in (("addition", ""), ("unitary", "0.3"), ("unitary", "0.7")):
                rows.append(_row(task, "A+B", combiner, alpha, seed, draw(score)))
    rows = [list(row) for row in rows]
    columns = list(COLUMNS)
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(columns) - 1))] = draw(
            st.one_of(st.sampled_from(HOSTILE), st.text(max_size=3))
        )
    what = draw(st.sampled_from(("", "", "", "drop", "twice", "rename", "shuffle", "none")))
    if what == "drop":
        gone = draw(st.integers(0, len(columns) - 1))
        columns = columns[:gone] + columns[gone + 1 :]
        rows = [row[:gone] + row[gone + 1 :] for row in rows]
    elif what == "twice":
        rows.append(draw(st.sampled_from(rows)))
    elif what == "rename":
        columns[draw(st.integers(0, len(columns) - 1))] = draw(st.sampled_from(("task", "x", "")))
    elif what == "shuffle":
        rows = draw(st.permutations(rows))
    elif what == "none":
        rows = []
    form = draw(st.sampled_from(("csv", "csv", "tsv", "parquet")))
    changes = draw(st.one_of(st.just([]), st.just([]), edits(3)))
    return ScoreTable(tuple(columns), tuple(map(tuple, rows)), form, changes)


CASES = _tables()


def attempt(case: ScoreTable, folder: Path) -> str:
    """Read and analyse; every row of an undamaged file is there."""
    path = folder / f"scores.{case.form}"
    if case.form == "parquet":
        columns = [[row[i] for row in case.rows] for i in range(len(case.columns))]
        plain = [
            pyarrow.array([c.encode(errors="replace").decode() for c in cells], pyarrow.string())
            for cells in columns
        ]
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(plain, names=list(case.columns)), buffer)
        data = buffer.getvalue()
    else:
        text = io.StringIO()
        csv.writer(text, delimiter="\t" if case.form == "tsv" else ",").writerows(
            [case.columns, *case.rows]
        )
        data = text.getvalue().encode(errors="surrogatepass")
    path.write_bytes(edited(data, case.changes))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_scores(path)
            if not case.changes and len(found) != len(case.rows):
                raise RowsLost(f"{len(case.rows)} rows were written, {len(found)} read")
            tables = analyse(found, folder / "tables")
    except UserError as error:
        return refused(error)
    scored = int(found["score"].notna().sum())
    if int(tables["scores"]["score"].notna().sum()) != scored:
        raise RowsLost(f"{scored} scores were read, {len(tables['scores'])} are in the table")
    return "accepted"

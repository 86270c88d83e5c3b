"""From runs in the store to the files of a submission: which run, which rows, what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch

from weightwise.errors import UserError
from weightwise.tables import Examples, Predictions, read_table

ALONE = {
    f"{task}/baseline/default/seed-{seed}": {task: 0.5}
    for task in ("SEN", "PAR", "SIM")
    for seed in (1, 2, 3)
}
SEN_ONLY = {"tasks": ["SEN"]}


def sen(scores: dict[str, float | None], group: str = "SEN") -> dict:
    """Dev scores of SEN by run; the other tasks of a run have 0.1."""
    return {
        run: {task: value if task == "SEN" else 0.1 for task in run.split("/")[0].split("+")}
        for run, value in scores.items()
    }


def record(folder) -> dict:
    return json.loads((folder / "submission.json").read_text("utf-8"))


def contents(folder) -> dict[str, str]:
    return {
        path.name: path.read_bytes().decode()
        for path in folder.iterdir()
        if path.name != "submission.json"
    }


def test_the_plain_form(make):
    made = make()
    made.finish(ALONE)
    folder, lines = made.submit()
    assert folder == made.layout.root / "submissions" / "plain-test"
    assert contents(folder) == {
        "SEN.tsv": "id\tprediction\na7\t3\nb8\t0\nc9\t4\n",
        "PAR.tsv": "id\tprediction\np1\t1\np2\t0\n",
        "SIM.tsv": "id\tprediction\ns1\t0.100000\ns2\t4.250000\ns3\t5.500000\n",  # not clipped
    }
    (line,) = (one for one in lines if one.startswith("SEN.tsv"))
    assert line == (
        "SEN.tsv: SEN, 3 rows, from SEN/baseline/default/seed-1; dev accuracy 0.5000, mean of 3 "
        "seeds 0.5000 (optimistic: selected on dev)"
    )
    assert str(folder) in lines[-1]


def test_the_glue_form_counts_from_zero_whatever_the_ids(make):
    made = make(lambda keys: keys["tasks"]["SEN"].update(id=None))
    made.finish(ALONE)
    folder, _ = made.submit(form="glue")
    assert contents(folder)["SEN.tsv"] == "index\tprediction\n0\t3\n1\t0\n2\t4\n"
    assert contents(folder)["PAR.tsv"] == "index\tprediction\n0\t1\n1\t0\n"


def test_the_courses_form(make):
    made = make()
    made.finish(ALONE)
    folder, _ = made.submit(form="cs224n", out=made.folder / "predictions")
    assert contents(folder) == {
        "sst-test-output.csv": "id \t Predicted_Sentiment \na7 , 3 \nb8 , 0 \nc9 , 4 \n",
        "para-test-output.csv": "id \t Predicted_Is_Paraphrase \np1 , 1.0 \np2 , 0.0 \n",
        "sts-test-output.csv": "id \t Predicted_Similiary \n"
        "s1 , 0.100000 \ns2 , 4.250000 \ns3 , 5.500000 \n",
    }
    folder, _ = made.submit(form="cs224n", split="dev", tasks=["PAR"])
    assert folder == made.layout.root / "submissions" / "cs224n-dev"
    (name,) = contents(folder)
    assert name == "para-dev-output.csv"
    assert contents(folder)[name].splitlines()[1:3] == ["d0 , 0.0 ", "d1 , 1.0 "]


def test_rows_without_an_id_column_have_their_number_in_the_source(make):
    made = make(lambda keys: keys["tasks"]["SEN"].update(id=None))
    made.finish(ALONE)
    folder, _ = made.submit(**SEN_ONLY)
    assert contents(folder)["SEN.tsv"] == "id\tprediction\n2\t3\n3\t0\n4\t4\n"
    with pytest.raises(UserError, match=r"form cs224n knows rows by their ids.*`id: id`"):
        made.submit(form="cs224n", **SEN_ONLY)


def test_classes_that_the_source_has_no_number_for(make):
    def change(keys):
        task = keys["tasks"]["PAR"]
        task |= {"bands": [[0, 0], [1, 1]], "classes": ["differs", "same"]}

    made = make(change)
    made.finish(ALONE)
    folder, _ = made.submit(tasks=["PAR"])
    assert contents(folder)["PAR.tsv"] == "id\tprediction\np1\tsame\np2\tdiffers\n"
    assert record(folder)["tasks"]["PAR"]["predictions"] == ["differs", "same"]


def test_the_run_is_the_best_seed_of_the_best_arm(make):
    made = make()
    scores = sen(
        {
            # The highest score of all, in an arm that is worse on average.
            "SEN/baseline/default/seed-1": 0.9,
            "SEN/baseline/default/seed-2": 0.1,
            "SEN/baseline/default/seed-3": 0.1,
            "SEN+PAR/unitary-0.3/default/seed-1": 0.5,
            "SEN+PAR/unitary-0.3/default/seed-2": 0.7,
            "SEN+PAR/unitary-0.3/default/seed-3": 0.6,
            # One seed tells too little to be the best arm.
            "SEN+SIM/addition/default/seed-1": 0.95,
        }
    )
    made.finish(scores)
    folder, lines = made.submit(**SEN_ONLY)
    told = record(folder)["tasks"]["SEN"]
    assert told["run"] == "SEN+PAR/unitary-0.3/default/seed-2"
    assert told["key"] == made.runs.key(made.runs.grid.run(told["run"]))
    assert (told["group"], told["arm"], told["variant"], told["seed"]) == (
        "SEN+PAR",
        "unitary-0.3",
        "default",
        2,
    )
    assert (told["dev_score"], told["seeds"], told["metric"]) == (0.7, 3, "accuracy")
    assert told["dev_mean"] == pytest.approx(0.6)
    assert lines[0].startswith(f"7 of {len(made.runs.grid.runs)} runs are finished")


def test_the_weight_of_the_second_task_names_the_run(make):
    """PAR's own weight in SEN+PAR/unitary-0.3 is 0.7; a high score of another weight is no seed of
    that arm."""
    made = make(alphas=[0.3, 0.7])
    scores = {"SEN+PAR/unitary-0.3": (0.8, 0.8, 0.8), "SEN+PAR/unitary-0.7": (0.9, 0.1, 0.1)}
    made.finish(
        {
            f"{arm}/default/seed-{seed}": {"SEN": 0.1, "PAR": dev}
            for arm, devs in scores.items()
            for seed, dev in enumerate(devs, 1)
        }
    )
    folder, _ = made.submit(tasks=["PAR"])
    told = record(folder)["tasks"]["PAR"]
    assert (told["run"], told["dev_score"]) == ("SEN+PAR/unitary-0.3/default/seed-1", 0.8)


def test_the_variants_are_told_apart(make):
    made = make(sweep={"learning_rate": [1e-5, 3e-5]})
    first, second = made.runs.grid.variants
    scores = {first: (0.9, 0.1, 0.1), second: (0.5, 0.5, 0.6)}
    made.finish(
        sen(
            {
                f"SEN/baseline/{variant}/seed-{seed}": dev
                for variant, devs in scores.items()
                for seed, dev in enumerate(devs, 1)
            }
        )
    )
    folder, _ = made.submit(**SEN_ONLY)
    told = record(folder)["tasks"]["SEN"]
    assert (told["variant"], told["seed"]) == (second, 3)


def test_equal_seeds_give_the_smaller_and_none_counts_for_nothing(make):
    made = make(seeds=[3, 1, 2])
    made.finish(sen({f"SEN/baseline/default/seed-{s}": v for s, v in ((3, 0.6), (2, 0.6))}))
    made.finish(sen({"SEN/baseline/default/seed-1": None}))
    folder, _ = made.submit(**SEN_ONLY)
    told = record(folder)["tasks"]["SEN"]
    assert (told["seed"], told["seeds"]) == (2, 2)


def test_what_submission_json_says(make):
    made = make()
    made.finish(ALONE)
    folder, _ = made.submit()
    told = record(folder)
    assert (told["study"], told["form"], told["split"]) == ("small", "plain", "test")
    assert told["runs"] == {"finished": 9, "planned": len(made.runs.grid.runs)}
    assert "optimistic: selected on dev" in told["selection"]
    for name, one in told["tasks"].items():
        written = (folder / one["file"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(written).hexdigest()
        assert one["rows"] == written.count(b"\n") - 1
        assert one["id"] == "id"
        assert one["source"] == {
            "description": f"file {name}-test.tsv",
            "sha256": hashlib.sha256(made.source(name).read_bytes()).hexdigest(),
            "rows": one["rows"],
        }
        assert one["left_out"] == {"rows": 0, "reasons": {}, "unit": "line", "first": []}
    assert told["tasks"]["SIM"]["predictions"] is None
    assert told["tasks"]["SEN"]["predictions"] == ["0", "1", "2", "3", "4"]


def test_the_id_column_changes_no_prepared_row_and_no_key(make):
    made = make()
    before = made.layout.examples("SEN").read_bytes()
    keys = {run.id: made.runs.key(run) for run in made.runs.grid.runs}
    made.keys["tasks"]["SEN"]["id"] = "text"
    made.prepare()
    assert made.layout.examples("SEN").read_bytes() == before
    assert {run.id: made.runs.key(run) for run in made.runs.grid.runs} == keys


# What is refused.


def test_no_such_column(make):
    made = make(lambda keys: keys["tasks"]["SEN"].update(id="idd"))
    made.finish(ALONE)
    with pytest.raises(UserError, match=r"has no column 'idd'; did you mean 'id'?"):
        made.submit(**SEN_ONLY)
    assert not made.layout.submission("plain", "test").exists()


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (["a", "b", "a"], r"line 4, column 'id': the id 'a' stands in line 2, too"),
        (["a", "", "c"], r"line 3, column 'id': the id is empty"),
        (["a", "  ", "c"], r"line 3, column 'id': the id is empty"),
        (["a", '"b\tc"', "c"], r"line 3, column 'id': the id 'b\\tc' holds a tab"),
        (["a", '"b\nc"', "c"], r"line 3, column 'id': the id 'b\\nc' holds a line feed"),
        (["a", '"b\rc"', "c"], r"the id 'b\\rc' holds a carriage return"),
        (["a", "b\x1bc", "c"], r"the id 'b\\x1bc' holds the character U\+001B"),
        (["a", "b\u2028c", "c"], r"holds the character U\+2028"),
        (["a", '"""b"', "c"], r"begins with a quote"),
    ],
)
def test_ids_that_would_make_a_broken_file(make, ids, reason):
    rows = "".join(f"{one}\tw30 w31\n" for one in ids)
    made = make(test={"SEN": "id\ttext\n" + rows})
    made.finish(ALONE)
    for form in ("plain", "cs224n"):
        with pytest.raises(UserError, match=reason):
            made.submit(form=form, **SEN_ONLY)
    made.submit(form="glue", **SEN_ONLY)  # which takes no ids


@pytest.mark.parametrize(
    ("ids", "written"),
    [
        ([7, 8, 9], "7 8 9"),
        (["7", 8, 9], "7 8 9"),
        ([7, 8.5, 9], r"line 2, column 'id': the id 8.5 is neither text nor a whole number"),
        ([7, None, 9], r"line 2, column 'id': the id is empty"),
        ([7, True, 9], "neither text nor a whole number"),
        ([7, [8], 9], "neither text nor a whole number"),
        ([7, "7", 9], "the id '7' stands in line 1, too"),
        ([7, "\ud800", 9], r"holds the character U\+D800"),
    ],
)
def test_ids_of_a_source_with_types(make, ids, written):
    def change(keys):
        keys["tasks"]["SEN"]["data"]["test"] |= {"format": "jsonl"}

    lines = "".join(json.dumps({"id": one, "text": "w30 w31"}) + "\n" for one in ids)
    made = make(change, test={"SEN": lines})
    made.finish(ALONE)
    if written[0] == "7":
        folder, _ = made.submit(**SEN_ONLY)
        found = [line.split("\t")[0] for line in contents(folder)["SEN.tsv"].splitlines()[1:]]
        assert found == written.split()
    else:
        with pytest.raises(UserError, match=written):
            made.submit(**SEN_ONLY)


def test_a_source_that_is_no_longer_what_was_prepared(make):
    made = make()
    made.finish(ALONE)
    made.source("SEN").write_text("id\ttext\nb8\tw32\na7\tw30 w31\nc9\tw33 w34\n")
    with pytest.raises(UserError, match=r"other content of the file of tasks.SEN.data.test"):
        made.submit()


def test_label_values_that_changed_after_the_training(make):
    def change(keys):
        keys["tasks"]["PAR"] |= {"label_values": ["0.0", "1.0"]}

    made = make(change)
    made.finish(ALONE)
    folder, _ = made.submit(tasks=["PAR"])
    assert contents(folder)["PAR.tsv"] == "id\tprediction\np1\t1.0\np2\t0.0\n"
    made.keys["tasks"]["PAR"]["label_values"] = ["1.0", "0.0"]
    with pytest.raises(UserError, match=r"prepared with tasks.PAR.label_values .* asked for"):
        made.submit(tasks=["PAR"], force=True)
    assert contents(folder)["PAR.tsv"] == "id\tprediction\np1\t1.0\np2\t0.0\n"


def test_no_finished_run(make):
    made = make()
    total = len(made.runs.grid.runs)
    with pytest.raises(UserError, match=rf"'SEN': no finished run .*\(0 of {total} runs"):
        made.submit()
    made.finish({"PAR/baseline/default/seed-1": {"PAR": 0.5}})
    with pytest.raises(UserError, match=rf"'SEN': no finished run .*\(1 of {total} runs"):
        made.submit()
    made.finish(sen({"SEN/baseline/default/seed-1": None}))
    with pytest.raises(UserError, match=r"'SEN': no finished run .* has a dev score"):
        made.submit()


def test_no_test_split(make):
    def change(keys):
        for name in ("SEN", "SIM"):
            del keys["tasks"][name]["data"]["test"]

    made = make(change)
    made.finish(ALONE)
    with pytest.raises(UserError, match=r"no test split: SEN, SIM .*--split dev; .*: --task PAR$"):
        made.submit()
    folder, _ = made.submit(tasks=["PAR"])
    assert set(contents(folder)) == {"PAR.tsv"}
    folder, _ = made.submit(split="dev")
    assert set(contents(folder)) == {"SEN.tsv", "PAR.tsv", "SIM.tsv"}
    assert contents(folder)["SEN.tsv"].splitlines()[1:3] == ["d0\t0", "d1\t1"]


def test_no_test_split_at_all(make):
    def change(keys):
        for task in keys["tasks"].values():
            del task["data"]["test"]

    made = make(change)
    with pytest.raises(UserError, match=r"no test split: SEN, PAR, SIM of study 'small'; .*dev$"):
        made.submit()


def test_unknown_task(make):
    with pytest.raises(UserError, match="--task SEM: no such task; did you mean 'S"):
        make().submit(tasks=["SEM"])


def test_a_task_that_the_study_does_not_train(make):
    made = make(groupings=[["SEN", "PAR"]])
    made.finish({run: dev for run, dev in ALONE.items() if "SIM" not in run})
    folder, _ = made.submit()
    assert set(contents(folder)) == {"SEN.tsv", "PAR.tsv"}
    with pytest.raises(UserError, match="--task SIM: no run of study 'small' trains it"):
        made.submit(tasks=["SIM"], force=True)


def test_rows_that_were_left_out(make):
    def change(keys):
        data = keys["tasks"]["SEN"]["data"]
        data |= {
            "empty_text": "drop",
            "where": [{"column": "id", "values": ["x"], "exclude": True}],
        }

    rows = "id\ttext\nx\tw30\na\tw31\nb\t \nc\tw32\nd\tw33\n"
    made = make(change, test={"SEN": rows})
    made.finish(ALONE)
    reason = r"SEN-test.tsv, lines 2, 4: rows left out of test of task 'SEN': 2 \(1 by `where`, "
    with pytest.raises(UserError, match=reason + r"1 empty text\).*--allow-missing"):
        made.submit()
    folder, lines = made.submit(allow_missing=True)
    assert contents(folder)["SEN.tsv"] == "id\tprediction\na\t3\nc\t0\nd\t4\n"
    assert "SEN, 3 rows, 2 left out" in lines[1]
    assert record(folder)["tasks"]["SEN"]["left_out"] == {
        "rows": 2,
        "reasons": {"by `where`": 1, "empty text": 1},
        "unit": "line",
        "first": [2, 4],
    }
    folder, _ = made.submit(form="glue", allow_missing=True, **SEN_ONLY)
    assert contents(folder)["SEN.tsv"] == "index\tprediction\n1\t3\n3\t0\n4\t4\n"


def test_rows_beyond_a_limit(make):
    made = make(lambda keys: keys["tasks"]["SIM"]["data"].update(limit={"test": 2}))
    made.finish(ALONE)
    with pytest.raises(
        UserError, match=r"line \d: .* of task 'SIM': 1 \(1 beyond `limit` of test\)"
    ):
        made.submit()


def test_a_part_of_one_table(make):
    """Where `split` divides a table, the rows of its other parts are not missed."""

    def change(keys):
        task = keys["tasks"]["SEN"]
        train = task["data"]["train"]
        task["data"] = {"train": train, "split": {"dev": 0.2, "test": 0.3, "stratify": False}}

    made = make(change)
    examples = read_table(made.layout.examples("SEN"), Examples)
    rows = examples.loc[examples["split"] == "test", "row"].tolist()
    made.finish(ALONE)
    folder, _ = made.submit(**SEN_ONLY)
    # Row 2 of the file, the first after the header, is t0.
    wanted = [f"t{row - 2}\t{value}" for row, value in zip(rows, (3, 0, 4), strict=True)]
    assert contents(folder)["SEN.tsv"].splitlines()[1:] == wanted

    made.keys["tasks"]["SEN"]["data"]["limit"] = {"test": 2, "train": 3}
    made.prepare()
    made.finish(ALONE)
    reason = r"SEN-train.tsv: rows left out of test of task 'SEN': 1 \(1 beyond `limit` of test\)"
    with pytest.raises(UserError, match=reason):
        made.submit(force=True, **SEN_ONLY)


def test_a_folder_that_holds_something(make):
    made = make()
    made.finish(ALONE)
    folder, _ = made.submit()
    (folder / "notes.txt").write_text("mine")
    (folder / "SEN.tsv").write_text("old")
    with pytest.raises(UserError, match=r"plain-test: holds something already; .*--force"):
        made.submit()
    assert (folder / "SEN.tsv").read_text() == "old"
    made.submit(force=True)
    assert (folder / "SEN.tsv").read_text() != "old"
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(UserError, match=r"notes.txt: is no folder"):
        made.submit(out=folder / "notes.txt", force=True)
    empty = made.folder / "empty"
    empty.mkdir()
    assert made.submit(out=empty)[0] == empty


def test_a_folder_that_cannot_be_written(make):
    made = make()
    made.finish(ALONE)
    (made.folder / "file").write_text("x")
    with pytest.raises(UserError, match=r"cannot be written \(Not a directory\)"):
        made.submit(out=made.folder / "file" / "below")


def test_a_study_without_test_labels_from_training_to_the_file(make):
    """Trained for real: the predictions of an unlabelled test exist and are those of the file."""
    from weightwise.train.inputs import Prepared
    from weightwise.train.run import execute

    torch.set_num_threads(1)
    made = make(groupings=[["SEN", "PAR", "SIM"]], combiners=["addition"], seeds=[1])
    prepared = Prepared(made.study, made.layout)
    for run in prepared.grid.runs:
        execute(prepared, run)
    path = made.folder / "study.yaml"
    path.write_text(json.dumps(made.keys))

    def program() -> subprocess.CompletedProcess:
        """The real one, as a user starts it."""
        command = [sys.executable, "-m", "weightwise", "submit", str(path), "--form", "cs224n"]
        command += ["--results", str(made.layout.results)]
        command += ["--out", str(made.folder / "predictions")]
        return subprocess.run(
            command,
            env=os.environ | {"COLUMNS": "60"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = program()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("(optimistic: selected on dev)") == 3
    written = contents(made.folder / "predictions")
    assert {name: text.count("\n") - 1 for name, text in written.items()} == {
        "sst-test-output.csv": 3,
        "para-test-output.csv": 2,
        "sts-test-output.csv": 3,
    }
    best = record(made.folder / "predictions")["tasks"]["SEN"]
    predicted = read_table(prepared.store.folder(best["key"]) / "predictions.parquet", Predictions)
    mine = predicted[(predicted["task"] == "SEN") & (predicted["split"] == "test")]
    assert mine["label"].isna().all()
    wanted = zip(("a7", "b8", "c9"), mine.sort_values("row")["prediction"], strict=True)
    lines = written["sst-test-output.csv"].splitlines()[1:]
    assert lines == [f"{one} , {value:.0f} " for one, value in wanted]
    again = program()
    assert again.returncode == 2
    assert "holds something already" in " ".join(again.stderr.split())
    assert "Traceback" not in again.stderr

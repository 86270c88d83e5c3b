"""`weightwise status` tells of the stages, too."""

from __future__ import annotations

import io

from rich.console import Console

from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.progress import study_status
from weightwise.stages.run import execute
from weightwise.status import as_json, render
from weightwise.train.failure import failure


def told(found) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(render("tiny", found))
    return console.file.getvalue()


def test_every_state_of_a_stage(prepared):
    study = prepared()
    names = study.grid.stages
    assert [one.state for one in study_status(study.study, study.layout).stages] == ["waiting"] * 2
    first, second = names
    execute(study, first)
    mark = study.grid.stage_fingerprint(second)
    error = UserError("its texts are of no use")
    note = failure(f"stage {second}", None, error, study.layout.stage_log(second, mark))
    write_json(study.layout.stage_file("failed", second, mark), note)
    found = study_status(study.study, study.layout)
    assert [(one.id, one.state) for one in found.stages] == [
        (f"stage {first}", "done"),
        (f"stage {second}", "failed"),
    ]
    text = told(found)
    assert f"Stages, before the runs that start from them: {first} done, {second} failed" in text
    assert "its texts are of no use" in text
    stages = as_json("tiny", found)["stages"]
    assert [one["state"] for one in stages] == ["done", "failed"]
    assert stages[1]["reason"] == "its texts are of no use"
    # The counts are those of runs.
    assert as_json("tiny", found)["counts"]["failed"] == 0


def test_stages_are_told_before_anything_is_prepared(fresh):
    study, layout = fresh()
    found = study_status(study, layout)
    assert {one.state for one in found.stages} == {"waiting"}
    assert "The data are not prepared yet." in told(found)


def test_studies_that_start_from_no_stage_say_nothing_of_them(prepared):
    study = prepared(training={"start": None})
    assert "Stages" not in told(study_status(study.study, study.layout))

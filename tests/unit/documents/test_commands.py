"""Every command of README, CONTRIBUTING and docs/ is run here, or named with the test that runs it,
or with the reason why none can. A command that is in none of the lists fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documented import ROOT, commands

from tiny_study import Project, make_project

STUDY = "study.yaml"
RUN = "MOOD+SAME/addition/default/seed-1"

# Command as documented -> (command as run in the tiny study's folder, words of its output), in an
# order that a person could type them in.
HERE = {
    "weightwise plan CONFIG": (f"weightwise plan {STUDY}", "runs, 0 done"),
    "weightwise plan CONFIG --runs": (f"weightwise plan {STUDY} --runs", f" {RUN}"),
    "weightwise check CONFIG": (f"weightwise check {STUDY}", "MOOD"),
    "weightwise check": ("weightwise check", "MOOD"),
    "snakemake -n": ("snakemake -n", "train_1"),
    "snakemake --configfile workflow/studies/pairing-small.yaml": (
        f"snakemake -n --configfile {STUDY}",
        "train_1",
    ),
    """snakemake --config set='["seeds=[1,2,3,4,5]", "training.epochs=4"]'""": (
        """snakemake -n --config set='["seeds=[1,2,3,4,5]", "training.epochs=4"]'""",
        "train_12",  # 9 runs a seed, 4 in a job
    ),
    "weightwise train RUN --study CONFIG": (
        f"weightwise prepare {STUDY} && weightwise train {RUN} --study {STUDY}",
        "",
    ),
    "weightwise status STUDY": (f"weightwise status {STUDY}", "1 done"),
    "weightwise status": ("weightwise status", "1 done"),
    "weightwise submit CONFIG": (f"weightwise submit {STUDY} --task MOOD", "MOOD"),
    "weightwise submit": ("weightwise submit --task SAME --out other", "SAME"),
    "weightwise analyse SCORES.csv --out DIR": (
        "weightwise analyse src/weightwise/published/pairing_absolute.csv --out analysed",
        "report: analysed/index.html",
    ),
    "python -m weightwise.config.document": (
        "python -m weightwise.config.document",
        "| `tasks.NAME.kind` |",
    ),
}

# Command -> the test that runs it, as FILE::NAME.
WHOLE = "workflow/test_study.py::test_a_study_runs_once_and_is_due_again_for_the_right_reasons"
ON_SLURM = "slurm/test_study_on_slurm.py::"
ELSEWHERE = {
    "snakemake": WHOLE,
    "make report": "workflow/test_embedded.py::test_the_default_study_runs_on_its_real_data",
    "snakemake --report report.zip": WHOLE,
    "snakemake --profile slurm": ON_SLURM
    + "test_the_documented_command_runs_the_study_through_slurm",
    "snakemake --profile slurm --default-resources gpu=0 mem_mb=4000": ON_SLURM
    + "test_without_gpus_a_restart_of_the_controller_costs_no_run",
    "snakemake --resources gpu=K": "workflow/test_resources.py::"
    "test_resources_gpu_limits_the_trainings_at_work",
    "snakemake --resources gpu=2": "workflow/test_resources.py::"
    "test_resources_gpu_limits_the_trainings_at_work",
    "snakemake --cores N": WHOLE,
    "snakemake --lint": "workflow/test_lint.py::test_the_workflow_is_clean",
    "snakemake --unlock": "workflow/test_interruption.py::"
    "test_a_folder_that_a_living_snakemake_works_in_is_left_alone",
    "weightwise status NAME": "workflow/test_interruption.py::"
    "test_an_interrupted_study_ends_with_the_same_tables",
    "python -m weightwise.stages NLI --study CONFIG": "unit/stages/test_stage_run.py::"
    "test_by_hand_the_stages_before_are_computed_too",
    "weightwise submit CONFIG --form cs224n --out predictions": "unit/submit/test_submit.py::"
    "test_the_courses_form",
    "python benchmarks/combiners.py": "unit/documents/test_benchmarks.py::"
    "test_the_cost_of_every_combiner",
    "python benchmarks/gradattention_quadratics.py": "unit/documents/test_benchmarks.py::"
    "test_gradattention_on_quadratics",
    "sbatch --test-only": "slurm/test_asking_slurm.py::"
    "test_a_good_request_is_accepted_and_leaves_no_job",
    "scancel NUMBER": "slurm/test_interruption_on_slurm.py::"
    "test_jobs_that_are_cancelled_too_late_or_killed",
    "pip download": "unit/data/test_download.py",
    "make docs": "unit/cli/test_documents.py::test_the_key_table_is_in_step",
}

# Command -> why no test runs it.
NOWHERE = {
    "make setup": "CI begins with it: `.ci/run` runs `make test`, which needs it",
    "make test": "CI is this command",
    "make fuzz": "thousands of cases; a few of the same kind are in tests/fuzz",
    "make format": "changes the sources; `make lint` runs the same programs",
    'python -m pytest -m "not slow and not browser"': "is a part of the tests themselves",
    ". .venv/bin/activate": "changes the reader's shell",
    "pip install weightwise[hub]": "needs the network, and the index has no weightwise yet",
    'pip install "weightwise[torchjd]"': "needs the network, and the index has no weightwise yet",
    "ln -s /scratch/$USER/weightwise results": "needs a cluster's scratch file system",
    'squeue --me -o "%i %T %M %R %k"': "shows a person their jobs; tests/slurm asks squeue itself",
    "sinfo -o %G": "shows a person the GPUs of their cluster",
}
# Where a test of another place stands for the command, what it must hold of it.
SAID = {
    "snakemake --report report.zip": "--report",
    "snakemake --profile slurm": "--profile",
    "snakemake --resources gpu=K": "gpu=",
}


def test_every_documented_command_is_run_or_told_of():
    known = {**HERE, **ELSEWHERE, **NOWHERE}
    assert len(known) == len(HERE) + len(ELSEWHERE) + len(NOWHERE), "a command is in two lists"
    found = {piece.text: piece.where for piece in commands()}
    new = {where: text for text, where in found.items() if text not in known}
    assert not new, f"commands that no list of {Path(__file__).name} has: {new}"
    gone = {*HERE, *ELSEWHERE} - set(found)
    assert not gone, f"no document has these commands any more: {gone}"


@pytest.mark.parametrize("command", ELSEWHERE)
def test_the_named_tests_exist(command):
    file, _, name = ELSEWHERE[command].partition("::")
    text = (ROOT / "tests" / file).read_text("utf-8")
    assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)
    assert SAID.get(command, "") in text


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """The tiny study, as config.yaml, too."""
    made = make_project(tmp_path_factory.mktemp("documented"))
    made.write(training=made.study["training"] | {"epochs": 1})
    (made.folder / "config.yaml").write_text((made.folder / STUDY).read_text())
    return made


@pytest.mark.parametrize("command", HERE)
def test_a_documented_command(project, command):
    typed, words = HERE[command]
    programs = {
        "weightwise": f"{sys.executable} -m weightwise",
        "snakemake": f"{sys.executable} -m snakemake",
        "python": sys.executable,
    }
    typed = re.sub(r"(^|&& )(\w+)", lambda found: found[1] + programs[found[2]], typed)
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=project.folder,
        env=os.environ | project.environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert words in said, said

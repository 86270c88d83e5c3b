"""How many GPUs a training counts for, here and in a profile, packed or not."""

from __future__ import annotations

import os
import re
import time

import pytest


@pytest.fixture
def small(project):
    project.write(
        seeds=[1], groupings=[["MOOD", "SAME"]], combiners=["addition"], alphas=[], runs_per_job=1
    )
    return project


TELL = """
for one in workflow.rules:
    print("GPUS", one.name, one.resources["gpu"].value if "gpu" in one.resources else "none")
"""


def gpus(project, *arguments: str) -> set[str]:
    """The `gpu` of the rules that train, in a dry run: rules with a message do not print it."""
    done = project.snakemake("-n", "trained", *arguments)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^GPUS train(?:_\d+)? (\S+)$", done.stdout, re.MULTILINE)
    assert len(found) == (1 if project.study["runs_per_job"] == 1 else 2)
    return set(found)


@pytest.mark.slow
@pytest.mark.parametrize("runs_per_job", [1, 2])
def test_a_training_counts_for_one_gpu_unless_told_otherwise(small, runs_per_job):
    small.write(runs_per_job=runs_per_job)
    with (small.folder / "Snakefile").open("a") as snakefile:
        snakefile.write(TELL)
    assert gpus(small) == {"1"}
    assert gpus(small, "--profile", "slurm") == {"1"}
    assert gpus(small, "--default-resources", "gpu=0") == {"0"}
    profile = small.folder / "slurm" / "config.yaml"
    profile.write_text(re.sub(r"gpu: 1\b", "gpu: 2", profile.read_text()))
    assert gpus(small, "--profile", "slurm") == {"2"}
    small.write(training=small.study["training"] | {"device": "cpu"})
    assert gpus(small) == {"0"}
    assert gpus(small, "--profile", "slurm") == {"0"}


@pytest.mark.slow
def test_resources_gpu_limits_the_trainings_at_work(small):
    process = small.start("--cores", "2", "trained", "--resources", "gpu=1")
    most = 0
    while process.poll() is None:
        most = max(most, len(small.trainings()))
        time.sleep(0.1)
    assert process.returncode == 0, small.said
    assert len(small.records()) == 3
    assert most == 1


# Named, so that the plugin does not ask for the cluster's default.
PARTITION = ("--default-resources", "slurm_partition=main", "mem_mb=1000", "runtime=10")
ASK = """#!/bin/sh
echo "$@" >> {asked}
case "$*" in *--test-only*) exit 0 ;; *) echo "sbatch: error: no more today" >&2; exit 1 ;; esac
"""


@pytest.mark.slow
@pytest.mark.parametrize(("runs_per_job", "cpus"), [(1, 8), (3, 24)])
def test_slurm_is_asked_for_the_cpus_of_the_study(small, runs_per_job, cpus):
    """Whatever the machine has where the command was typed: here Snakemake may use two cores."""
    small.write(threads=8, runs_per_job=runs_per_job, runs_side_by_side=runs_per_job)
    commands = small.folder / "commands"
    commands.mkdir()
    asked = small.folder / "asked"
    for name, script in (("sbatch", ASK.format(asked=asked)), ("sacct", "#!/bin/sh\nexit 0\n")):
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    small.environment["PATH"] = f"{commands}:{os.environ['PATH']}"
    done = small.snakemake("trained", "--profile", "slurm", "--retries", "0", *PARTITION)
    assert done.returncode != 0
    lines = asked.read_text().splitlines()
    assert [line for line in lines if "--test-only" in line]
    assert [line for line in lines if "--test-only" not in line]
    for line in lines:
        found = re.findall(r"--cpus-per-task[= ](\d+)", line)
        assert found == [str(cpus)], line

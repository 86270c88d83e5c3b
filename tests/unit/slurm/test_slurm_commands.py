"""Jobs' ends, jobs left behind and the check before the first job, on commands that pretend."""

from __future__ import annotations

import os

import pytest

from weightwise import preflight, slurm
from weightwise.preflight import check, sbatch_options, status_command
from weightwise.slurm import SlurmError, cancel, explain_end, orphans


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Put commands of these names first in PATH, and nothing else but the shell's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")

    def put(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    # Hide the real ones, where there are any.
    for name in ("sacct", "scontrol", "squeue", "scancel", "sbatch", "sinfo"):
        put(name, "echo not expected here >&2; exit 99")
    return put


def accounts(line: str) -> str:
    return f"echo '{line}'"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("OUT_OF_MEMORY|0:125|04:00:00|8000M", ["more than the 8000M", "raise mem_mb"]),
        ("TIMEOUT|0:0|04:00:00|8000M", ["time limit of 04:00:00", "raise runtime"]),
        ("CANCELLED by 0|0:0|04:00:00|8000M", ["CANCELLED by user root", "same command"]),
        ("CANCELLED by 987654|0:0|1:00|1M", ["CANCELLED by user 987654"]),
        ("NODE_FAIL|1:0|04:00:00|8000M", ["its node failed"]),
        ("PREEMPTED|0:0|04:00:00|8000M", ["higher priority"]),
        ("FAILED|3:0|04:00:00|8000M", ["exit code 3", "its log"]),
        ("FAILED|0:9|04:00:00|8000M", ["killed (signal 9)", "raise mem_mb"]),
        ("FAILED|137:0|04:00:00|8000M", ["killed (signal 9)"]),
        ("FAILED|0:15|04:00:00|8000M", ["signal 15"]),
        ("LAUNCH_FAILED|1:0|1:00|1M", ["LAUNCH_FAILED", "exit code 1"]),
    ],
)
def test_the_end_of_a_job_by_accounts(pretend, line, words):
    pretend("sacct", accounts(line))
    told = explain_end("17").line
    assert told.startswith("Slurm job 17 ended ")
    assert "\n" not in told
    for word in words:
        assert word in told


@pytest.mark.parametrize("state", ["COMPLETED", "RUNNING", "PENDING", "COMPLETING", "REQUEUED"])
def test_nothing_is_told_of_a_job_that_ended_well_or_not_yet(pretend, state):
    pretend("sacct", accounts(f"{state}|0:0|04:00:00|8000M"))
    assert explain_end("17") is None


def test_the_last_try_of_a_requeued_job_counts(pretend):
    pretend("sacct", "echo 'NODE_FAIL|1:0|1:00|1M'; echo 'COMPLETED|0:0|1:00|1M'")
    assert explain_end("17") is None


CONTROLLER = (
    "JobId=17 JobName=a UserId=root(0) JobState={state} Reason=x Requeue=1 ExitCode={exit} "
    "TimeLimit=00:01:00 MinMemoryNode=8000M Features=(null) Comment=JobState=FAILED"
)


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("TIMEOUT", "0:15", "limit of 00:01:00"),
        ("OUT_OF_MEMORY", "0:125", "the 8000M"),
        ("FAILED", "0:9", "killed (signal 9)"),
        ("CANCELLED", "0:0", "cancelled it"),
    ],
)
def test_without_accounts_the_controller_is_asked(pretend, state, code, words):
    pretend("sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    pretend("scontrol", f"echo '{CONTROLLER.format(state=state, exit=code)}'")
    assert words in explain_end("17").line


def test_a_job_nobody_knows_any_more_has_no_explanation(pretend):
    pretend("sacct", "exit 0")
    pretend("scontrol", "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1")
    assert explain_end("17") is None


def test_orphans_are_trainings_of_this_folder_that_have_not_ended(pretend, tmp_path):
    here = tmp_path / "a folder"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    rows = [
        ("1", "RUNNING", "uuid", str(here), "rule_train_wildcards_A+B_pcgrad_default_seed-1_0e68"),
        ("2", "PENDING", "uuid", str(tmp_path / "link"), "rule_train_3"),
        ("3", "RUNNING", "uuid", str(tmp_path), "rule_train_3"),
        ("4", "RUNNING", "uuid", str(here), "rule_report"),
        ("5", "RUNNING", "bash", str(here), "(null)"),
        ("6", "COMPLETED", "uuid", str(here), "rule_train_3"),
        ("7", "RUNNING", "uuid", str(here), "rule_train_3_of_mine"),
    ]
    (tmp_path / "rows").write_text("".join("\t".join(row) + "\n" for row in rows))
    pretend(
        "squeue",
        f'[ "$2 $3" = "-u {os.getuid()}" ] || exit 3\ncat {tmp_path}/rows',
    )
    found = orphans(here)
    assert [(job.id, job.state) for job in found] == [("1", "RUNNING"), ("2", "PENDING")]
    assert found[0].comment.startswith("rule_train_wildcards_A+B")


def test_a_controller_that_does_not_answer_is_told(pretend, tmp_path, monkeypatch):
    pretend(
        "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
    )
    with pytest.raises(SlurmError, match="Unable to contact slurm controller"):
        orphans(tmp_path)
    pretend("squeue", "exec sleep 60")
    with pytest.raises(SlurmError, match=r"no answer within 0\.2 seconds"):
        slurm.ask("squeue", timeout=0.2)


def test_cancel_names_all_jobs_and_tells_a_refusal(pretend, tmp_path):
    pretend("scancel", f'echo "$@" >> {tmp_path}/asked')
    cancel([str(number) for number in range(501)])
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert first.startswith("--quiet 0 1 2 ")
    assert second == "--quiet 500"
    pretend("scancel", "echo 'scancel: error: Access/permission denied' >&2; exit 1")
    with pytest.raises(SlurmError, match="scancel: Access/permission denied"):
        cancel(["1"])
    pretend("scancel", "exit 99")
    cancel([])


GOOD = {"gpu": 1, "mem_mb": 8000, "runtime": 240, "cpus": 1, "slurm_partition": "gpu"}
SINFO = (
    'case "$*" in\n'
    "*-N*) echo 'up|{state}|n1|16|64000|gpu:a100:4(S:0-1)|gpu*' ;;\n"
    "*%G*) echo 'gpu|16|64000|gpu:a100:4|2-00:00:00' ;;\n"
    "*) echo 'gpu*'; echo cpu ;;\n"
    "esac"
)


@pytest.mark.parametrize(
    ("resources", "options"),
    [
        (
            GOOD,
            "--partition=gpu --time=240 --mem=8000 --gpus=1 --cpus-per-task=1",
        ),
        (
            {"gpu": 0, "mem_mb": 1, "mem_mb_per_cpu": 2, "cpus": 4},
            "--mem-per-cpu=2 --cpus-per-task=4",
        ),
        ({"gpu": 2, "gpu_model": "a100"}, "--gpus=a100:2 --cpus-per-task=1"),
        (
            {"gpu_model": "a100", "slurm_account": "one, two"},
            "--account=one --gpus=a100:1 --cpus-per-task=1",
        ),
        ({"gres": "gpu:a100:1", "cpus": -1, "qos": "long"}, "--qos=long --gres=gpu:a100:1"),
    ],
)
def test_options_are_those_of_the_plugin(resources, options):
    assert " ".join(sbatch_options(resources)) == options


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("invalid partition specified: gpu", ["slurm_partition: gpu", "one of: cpu, gpu"]),
        (
            "Batch job submission failed: Invalid account or account/partition combination",
            ["change slurm_account in slurm/config.yaml", "sacctmgr"],
        ),
        ("Invalid qos specification", ["change qos in"]),
        ("Requested time limit is invalid", ["runtime: 240", "at most 2-00:00:00"]),
        ("Something new", ["Something new", "default-resources of slurm/config.yaml"]),
        ("Unable to contact slurm controller (connect failure)", ["see whether `sinfo` answers"]),
    ],
)
def test_a_refusal_becomes_one_line_with_the_key(pretend, said, words):
    pretend("sbatch", f"echo 'sbatch: error: {said}' >&2; exit 1")
    pretend("sinfo", SINFO.format(state="idle"))
    with pytest.raises(SlurmError) as raised:
        check([GOOD])
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)


NOT_AVAILABLE = (
    "echo 'allocation failure: Requested node configuration is not available' >&2; exit 1"
)


@pytest.mark.parametrize(
    ("state", "change", "refused"),
    [
        ("idle", {}, True),
        ("drained", {}, False),
        ("down*", {}, False),
        ("drained", {"gpu": 5}, True),
        ("drained", {"gpu_model": "h100"}, True),
        ("drained", {"gpu_model": "a100", "gpu": 4}, False),
        ("drained", {"mem_mb": 64001}, True),
        ("drained", {"cpus": 17}, True),
    ],
)
def test_a_node_that_is_away_is_waited_for_if_it_would_do(pretend, capsys, state, change, refused):
    pretend("sbatch", NOT_AVAILABLE)
    pretend("sinfo", SINFO.format(state=state))
    if refused:
        with pytest.raises(SlurmError, match="no node has what one asks for"):
            check([GOOD | change])
    else:
        check([GOOD | change])
        assert f"n1 is {state}" in capsys.readouterr().err


def test_equal_requests_are_asked_about_once(pretend, tmp_path):
    pretend("sbatch", f'echo "$@" >> {tmp_path}/asked')
    check([GOOD, dict(GOOD), GOOD | {"gpu": 2}])
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 2
    assert all(line.startswith("--test-only ") for line in asked)


def test_no_slurm_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError, match="sbatch: not found on this machine; start the command on"):
        check([GOOD])
    assert explain_end("1") is None


@pytest.mark.parametrize(
    ("keeps", "age", "first_look", "expected"),
    [
        (True, 2, 20, "sacct"),
        (False, 300, 20, "squeue"),
        (False, 300, 100, "squeue"),
        (False, 300, 101, None),
        (False, 120, 20, None),
        (False, 0, 20, None),
    ],
)
def test_sacct_where_accounts_are_kept_else_squeue(pretend, keeps, age, first_look, expected):
    pretend("sacct", "exit 0" if keeps else "exit 1")
    pretend("scontrol", f"echo 'MinJobAge               = {age} sec'")
    if expected is None:
        with pytest.raises(SlurmError, match="MinJobAge=3"):
            status_command("sacct", first_look)
    else:
        assert status_command("sacct", first_look) == expected
    if keeps:
        assert status_command("squeue", first_look) == "squeue"


def test_the_plugin_reads_cancelled_by_and_bears_no_answer(monkeypatch):
    import asyncio

    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")

    async def query(command, logger):
        return ({"1": "CANCELLED by 1000", "2": "RUNNING"}, 0.1) if command else (None, None)

    monkeypatch.setattr(plugin, "query_job_status", query)
    preflight._mend_status_queries()
    preflight._mend_status_queries()
    read = plugin.query_job_status
    assert asyncio.run(read("sacct", None)) == ({"1": "CANCELLED", "2": "RUNNING"}, 0.1)
    assert asyncio.run(read("", None)) == ({}, 0.0)

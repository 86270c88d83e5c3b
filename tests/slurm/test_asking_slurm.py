"""What `weightwise.slurm` and the check before the first job get to hear from a real Slurm."""

from __future__ import annotations

import cluster as pretend
import pytest

from weightwise.preflight import check, status_command
from weightwise.slurm import SlurmError, accounting, cancel, explain_end, orphans

GOOD = {"gpu": 1, "mem_mb": 1000, "runtime": 60, "cpus": 1}


def ended(cluster, number: str) -> None:
    waiting = {"PENDING", "RUNNING", "COMPLETING"}
    pretend.wait_for(f"the end of job {number}", lambda: cluster.states()[number] not in waiting)


def test_a_good_request_is_accepted_and_leaves_no_job(cluster):
    before = cluster.states()
    check([GOOD, GOOD, {**GOOD, "slurm_partition": "brief", "runtime": 5}, {**GOOD, "gpu": 0}])
    check([{**GOOD, "gpu_model": "fake"}])
    assert cluster.states() == before


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"slurm_partition": "nope"}, ["slurm_partition: nope", "one of: brief, main"]),
        ({"gpu": 3}, ["gpu: 3", "gpu:fake:2"]),
        ({"gpu_model": "a100"}, ["gpu_model: a100", "gpu:fake:2"]),
        ({"mem_mb": 900_000}, ["mem_mb: 900000", "32000 MB"]),
        ({"cpus": 500}, ["threads: 500", "lower `threads` of the study"]),
        ({"runtime": 60, "slurm_partition": "brief"}, ["runtime: 60", "at most 5:00"]),
        ({"runtime": "soon"}, ["runtime: soon"]),
        ({"constraint": "fast"}, ["constraint: fast"]),
        ({"gres": "tpu:1"}, ["gres"]),
    ],
)
def test_a_refusal_names_the_key_and_what_there_is(cluster, wrong, words):
    with pytest.raises(SlurmError) as raised:
        check([GOOD | wrong])
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_drained_node_is_no_refusal_but_an_impossible_request_still_is(cluster, capsys):
    cluster.node("drain")
    check([GOOD])
    assert f"{cluster.host} is drained" in capsys.readouterr().err
    with pytest.raises(SlurmError, match="no node has"):
        check([GOOD | {"gpu": 3}])
    with pytest.raises(SlurmError, match="no node has"):
        check([GOOD | {"gpu_model": "a100"}])


def test_without_accounts_squeue_is_asked(cluster):
    assert not accounting()
    assert status_command("sacct", 20) == "squeue"


def test_how_a_job_ended(cluster):
    well = cluster.submit("true")
    badly = cluster.submit("exit 3")
    greedy = cluster.submit(
        "python3 -c 'x = bytearray(10**9); import time; time.sleep(60)'", "--mem=100"
    )
    stopped = cluster.submit("sleep 300")
    assert explain_end(stopped) is None
    cancel([stopped])
    for number in (well, badly, greedy, stopped):
        ended(cluster, number)
    assert explain_end(well) is None
    assert explain_end("987654321") is None
    assert "FAILED: exit code 3" in explain_end(badly).line
    assert explain_end(badly).plain
    assert "raise mem_mb in slurm/config.yaml" in explain_end(greedy).line
    assert not explain_end(greedy).plain
    assert "CANCELLED" in explain_end(stopped).line


def test_jobs_that_a_folder_left_behind(cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    train = "--comment=rule_train_wildcards_A+B_pcgrad_default_seed-1_0e68ad0fd5ee9332"
    ours = cluster.submit("sleep 300", f"--chdir={here}", train)
    pack = cluster.submit("sleep 300", f"--chdir={here}", "--comment=rule_train_12")
    cluster.submit("sleep 300", f"--chdir={there}", train)
    cluster.submit("sleep 300", f"--chdir={here}", "--comment=rule_trainers")
    cluster.submit("sleep 300", f"--chdir={here}")
    done = cluster.submit("true", f"--chdir={here}", train)
    ended(cluster, done)
    found = orphans(here)
    assert {job.id for job in found} == {ours, pack}
    assert {job.comment for job in found} == {train.partition("=")[2], "rule_train_12"}
    cancel([job.id for job in found] + [done, "987654321"])
    for number in (ours, pack):
        ended(cluster, number)
        assert cluster.states()[number] == "CANCELLED"
    assert orphans(here) == []
    assert orphans(there)

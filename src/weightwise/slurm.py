"""What Slurm says of jobs: how one ended, which ones a killed Snakemake left behind.

Everything goes through Slurm's own commands, with time limits; imports no torch and no Snakemake.
Tried with Slurm 22.05.8 and snakemake-executor-plugin-slurm 2.8.0, whose names and comments of
jobs `orphans` reads.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weightwise.errors import UserError

PROFILE = "slurm/config.yaml"
TIMEOUT = 60.0  # seconds; a busy controller takes tens of them
CHUNK = 500  # job numbers on one command line
# The plugin's comment of a job is `rule_NAME_wildcards_...`; packs are rules `train_1`, `train_2`.
TRAINING = re.compile(r"rule_train(_\d+)?(_wildcards_.*)?$")
UNFINISHED = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED"}
AGAIN = "the same command submits it again"
REMEDIES = {
    "OUT_OF_MEMORY": f"it took more than the {{memory}} it asked for; raise mem_mb in {PROFILE}",
    "TIMEOUT": f"its time limit of {{limit}} was over; raise runtime in {PROFILE}",
    "CANCELLED": f"somebody or something cancelled it; {AGAIN}",
    "DEADLINE": f"it could not end before its deadline; lower runtime in {PROFILE}",
    "NODE_FAIL": f"its node failed; {AGAIN}",
    "BOOT_FAIL": f"its node did not start; {AGAIN}",
    "PREEMPTED": f"a job of higher priority took its place; {AGAIN}",
}


class SlurmError(UserError):
    """A command of Slurm is missing, gave no answer in time or refused."""


@dataclass(frozen=True)
class Job:
    """A job in the queue: its number, its state (RUNNING, ...), its name (of one run of Snakemake)
    and its comment (rule and wildcards)."""

    id: str
    state: str
    name: str
    comment: str


def ask(*command: str, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm; its exit code is the caller's to judge.

    Raises:
        SlurmError: there is no such command here, or no answer within `timeout` seconds.
    """
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise SlurmError(
            f"{command[0]}: not found on this machine; start the command on a login node of the "
            "cluster (a `module load slurm` may be needed), or without --profile slurm to run here"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(
            f"{command[0]}: Slurm gave no answer within {timeout:g} seconds; see whether `sinfo` "
            "answers, and start the same command again"
        ) from None


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last words of a command of Slurm, without its name."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    text = lines[-1] if lines else f"exit code {done.returncode}"
    return re.sub(r"^\w+: (error: )?", "", text)


def accounting() -> bool:
    """Whether the cluster keeps accounts of jobs, so that `sacct` knows how one ended."""
    try:
        return ask("sacct", "-n", "-X", "-o", "JobIDRaw", "-S", "now").returncode == 0
    except SlurmError:
        return False


@dataclass(frozen=True)
class End:
    """How a job ended, in one line with the remedy; `plain` if by nothing but an exit code, which
    says less than what the training itself has written."""

    line: str
    plain: bool


def explain_end(job_id: str) -> End | None:
    """How a job ended.

    Asks `sacct` where the cluster keeps accounts; else `scontrol`, which forgets a job some minutes
    after its end (MinJobAge of slurm.conf).

    Returns:
        None if the job ended well, has not ended, or Slurm does not know it (any more).
    """
    try:
        facts = _from_accounts(job_id) or _from_controller(job_id)
    except SlurmError:
        return None  # what explains a failure must not become one
    if facts is None:
        return None
    state, _, by = facts["state"].partition(" by ")
    state = state.split()[0].rstrip("+") if state else ""
    if not state or state == "COMPLETED" or state in UNFINISHED:
        return None
    remedy = REMEDIES.get(state, _exit(facts["exit"])).format(**facts)
    by = f" by {_user(by)}" if by else ""
    plain = state == "FAILED" and remedy.startswith("exit code ")
    return End(f"Slurm job {job_id} ended {state}{by}: {remedy}", plain)


def _from_accounts(job_id: str) -> dict[str, str] | None:
    columns = "State,ExitCode,Timelimit,ReqMem"
    try:
        done = ask("sacct", "-n", "-X", "-P", "-j", job_id, "-o", columns)
    except SlurmError:
        return None
    lines = done.stdout.split("\n")
    if done.returncode != 0 or not lines[0].strip():
        return None
    # A job that was submitted again by Slurm has one line for each time; the last one counts.
    values = [line for line in lines if line.strip()][-1].split("|")
    return dict(zip(("state", "exit", "limit", "memory"), values, strict=True))


def _from_controller(job_id: str) -> dict[str, str] | None:
    done = ask("scontrol", "show", "job", "-o", job_id)
    if done.returncode != 0:
        return None

    def value(key: str) -> str:
        # The first one: a later field may hold any text.
        found = re.search(rf"(?:^| ){key}=(\S*)", done.stdout)
        return found[1] if found else ""

    memory = value("MinMemoryNode") or value("MinMemoryCPU") or "memory"
    return {
        "state": value("JobState"),
        "exit": value("ExitCode"),
        "limit": value("TimeLimit"),
        "memory": memory,
    }


def _exit(code: str) -> str:
    """Words for Slurm's `code:signal`; a shell tells signals by codes over 128."""
    status, _, number = code.partition(":")
    status, number = (int(one) if one.isdigit() else 0 for one in (status, number))
    number = number or (status - 128 if status > 128 else 0)
    if number == signal.SIGKILL:
        return (
            "it was killed (signal 9), most often because its memory was not enough; "
            f"raise mem_mb in {PROFILE}"
        )
    if number:
        return f"it was ended by signal {number}; {AGAIN}"
    return f"exit code {status}; its log tells why"


def _user(identity: str) -> str:
    try:
        return f"user {pwd.getpwuid(int(identity)).pw_name}"
    except (KeyError, ValueError):
        return f"user {identity}"


def orphans(folder: Path | str) -> list[Job]:
    """Trainings of this user in Slurm's queue that were submitted from `folder`, not yet ended.

    Those of a Snakemake that still runs are among them: who calls this knows that none does.

    Raises:
        SlurmError: Slurm is not here or does not answer.
    """
    done = ask("squeue", "-h", "-u", str(os.getuid()), "-o", "%i\t%T\t%j\t%Z\t%k")
    if done.returncode != 0:
        raise SlurmError(f"squeue: {said(done)}; see whether `sinfo` answers")
    wanted, found = Path(folder).resolve(), []
    for line in done.stdout.splitlines():
        parts = line.split("\t")
        if len(parts) != 5:
            continue  # another job, with a tab in its name
        number, state, name, where, comment = parts
        ours = TRAINING.match(comment) and Path(where).resolve() == wanted
        if ours and state in UNFINISHED:
            found.append(Job(number, state, name, comment))
    return found


def cancel(job_ids: Sequence[str]) -> None:
    """Cancel jobs; those that ended already are no error.

    Raises:
        SlurmError: Slurm refused or does not answer.
    """
    for start in range(0, len(job_ids), CHUNK):
        done = ask("scancel", "--quiet", *job_ids[start : start + CHUNK])
        if done.returncode != 0:
            raise SlurmError(
                f"scancel: {said(done)}; `squeue --me` lists your jobs, `scancel NUMBER` ends one"
            )

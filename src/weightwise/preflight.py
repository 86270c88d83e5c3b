"""Before the first job goes to Slurm: would Slurm take it, and will its end be noticed?

Snakemake with --profile slurm submits one job a run; a wrong partition would come back as many
failed jobs, an impossible request on some clusters as jobs that wait for ever. Called by `onstart`
of the Snakefile: that is after the plan is made, before anything runs, and neither in a dry run
nor inside a job.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from weightwise.slurm import PROFILE, SlurmError, accounting, ask, said

# Seconds. The plugin looks at its jobs every 180 seconds at last; one that Slurm forgot before
# that would be waited for until the end of time.
POLL = 180
# Snakemake's resources that the plugin turns into options of sbatch (submit_string.py of it).
OPTIONS = {
    "slurm_partition": "--partition={}",
    "slurm_account": "--account={}",
    "runtime": "--time={}",
    "mem_mb": "--mem={}",
    "mem_mb_per_cpu": "--mem-per-cpu={}",
    "constraint": "--constraint={}",
    "qos": "--qos={}",
    "gres": "--gres={}",
    "nodes": "--nodes={}",
}
# States of nodes (sinfo's %T, without its flags) that can take a job now or after other jobs.
USABLE = {"idle", "mixed", "allocated", "completing", "planned", "power_down", "powered_down"}
# What sbatch says, the key behind it.
REFUSALS = (
    (r"invalid partition|no partition specified", "slurm_partition"),
    (r"inactive or drain", "slurm_partition"),
    (r"invalid account", "slurm_account"),
    (r"invalid qos", "qos"),
    (r"time limit|--time", "runtime"),
    (r"feature", "constraint"),
    (r"generic resource|gres|--gpus", "gpu, gpu_model or gres"),
    (r"memory", "mem_mb"),
    (r"processors|cpu count", "cpus"),
)


def before_the_first_job(workflow) -> None:
    """Check what a run of Snakemake is about to submit, and choose how it asks for states.

    Args: `workflow` is Snakemake's. Nothing is done for another executor than slurm, or if no
    job leaves this machine.

    Raises:
        SlurmError: Slurm is not here, or would refuse a job; one line with the remedy.
    """
    if workflow.executor_plugin.name != "slurm":
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    if not jobs:
        return
    check([_resources(job) for job in jobs])
    settings = workflow.executor_settings
    settings.status_command = status_command(
        settings.status_command, settings.init_seconds_before_status_checks
    )
    _mend_status_queries()


def _resources(job) -> dict[str, int | str]:
    """A job's resources as plain values; what is not known before it runs is left out."""
    known = {
        name: value
        for name, value in job.resources.items()
        if type(value) in (int, str) and value != ""
    }
    return known | {"cpus": known.get("cpus_per_task", job.threads)}


def check(requests: Iterable[Mapping[str, int | str]]) -> None:
    """Ask Slurm whether it would take jobs with these resources; nothing is submitted.

    Args: each request has Snakemake's names (gpu, mem_mb, runtime in minutes, slurm_partition,
    ...) and `cpus`. Equal ones are asked about once.

    Raises:
        SlurmError: a request is refused, or Slurm is not here.
    """
    for options, request in {sbatch_options(one): one for one in requests}.items():
        done = ask("sbatch", "--test-only", *options, "--wrap", "true")
        if done.returncode == 0:
            continue
        words = said(done).removeprefix("allocation failure: ")
        if re.search("contact slurm controller|connection refused", words, re.IGNORECASE):
            raise SlurmError(f"sbatch: {words}; see whether `sinfo` answers, and try again")
        if "node configuration is not available" not in words:
            raise SlurmError(_refusal(words, request))
        # Slurm says the same of what no node has and of what no node has just now.
        waiting = _unusable_nodes_that_fit(request)
        if not waiting:
            raise SlurmError(_impossible(request))
        print(
            f"Slurm cannot start the trainings now: {waiting}. They are submitted and wait.",
            file=sys.stderr,
        )


def sbatch_options(request: Mapping[str, int | str]) -> tuple[str, ...]:
    """The options of sbatch that the plugin makes of a job's resources."""
    request = dict(request)
    if request.get("mem_mb_per_cpu"):
        request.pop("mem_mb", None)
    if request.get("slurm_account"):  # the plugin takes the first of several
        request["slurm_account"] = re.split(r"[,\s]+", str(request["slurm_account"]).strip())[0]
    options = [form.format(request[key]) for key, form in OPTIONS.items() if request.get(key)]
    model, count = request.get("gpu_model"), request.get("gpu", 1 if "gpu_model" in request else 0)
    if model:
        options.append(f"--gpus={model}:{count}")
    elif count:
        options.append(f"--gpus={count}")
    if int(request.get("cpus", 1)) > 0:  # below 0: the plugin asks for no number
        options.append(f"--cpus-per-task={request.get('cpus', 1)}")
    return tuple(options)


def _refusal(words: str, request: Mapping[str, int | str]) -> str:
    """sbatch's words, and which key of the profile to change."""
    key = next((k for pattern, k in REFUSALS if re.search(pattern, words, re.IGNORECASE)), None)
    if key is None:
        return f"Slurm refuses the trainings: {words}; see default-resources of {PROFILE}"
    if key == "cpus":
        return (
            f"Slurm refuses the trainings: {words} (threads: {request.get('cpus', 1)}); lower "
            "`threads` of the study"
        )
    value = request.get(key)
    given = f" ({key}: {value})" if value is not None else ""
    start = f"Slurm refuses the trainings: {words}{given}"
    if key == "slurm_partition":
        return f"{start}; set slurm_partition in {PROFILE} to one of: {_partitions()}"
    return f"{start}; change {key} in {PROFILE}{_hint(key, request)}"


def _hint(key: str, request: Mapping[str, int | str]) -> str:
    if key == "slurm_account":
        return " (`sacctmgr show associations user=$USER` lists yours)"
    return f"; what there is: {_offers(request)}" if key != "qos" else ""


def _impossible(request: Mapping[str, int | str]) -> str:
    names = ("gpu", "gpu_model", "gres", "mem_mb", "mem_mb_per_cpu", "constraint", "nodes")
    asked = ", ".join(f"{name}: {request[name]}" for name in names if request.get(name))
    return (
        f"Slurm refuses the trainings: no node has what one asks for ({asked}, threads: "
        f"{request.get('cpus', 1)}); change it in {PROFILE} (`threads` in the study), or choose "
        f"another slurm_partition; what there is: {_offers(request)}"
    )


def _partitions() -> str:
    names = ask("sinfo", "-h", "-o", "%P").stdout.split()
    return ", ".join(sorted({name.rstrip("*") for name in names})) or "(sinfo shows none)"


def _offers(request: Mapping[str, int | str]) -> str:
    """What the nodes of the partition (or of all) have, in a few words."""
    partition = request.get("slurm_partition")
    chosen = ["-p", str(partition)] if partition else []
    lines = ask("sinfo", "-h", *chosen, "-o", "%R|%c|%m|%G|%l").stdout.splitlines()
    rows = [line.split("|") for line in dict.fromkeys(lines) if line.count("|") == 4]
    return "; ".join(
        f"partition {name}: {cpus} CPUs, {memory} MB, {gres} a node, at most {limit}"
        for name, cpus, memory, gres, limit in rows[:6]
    )


def _unusable_nodes_that_fit(request: Mapping[str, int | str]) -> str:
    """Nodes that are down or drained and would do for the request; empty if there are none."""
    partition = request.get("slurm_partition")
    chosen = ["-p", str(partition)] if partition else []
    form = "%a|%T|%N|%c|%m|%G|%P"
    found = []
    for line in ask("sinfo", "-h", "-N", *chosen, "-o", form).stdout.splitlines():
        up, state, name, cpus, memory, gres, where = line.split("|")
        if not partition and not where.endswith("*"):
            continue  # a job that names no partition goes to the default one
        if up == "up" and state.rstrip("*~#!%$@^-+") in USABLE:
            continue
        if _fits(request, cpus, memory, gres):
            found.append(f"{name} is {state}" if up == "up" else f"partition {where} is {up}")
    return ", ".join(dict.fromkeys(found))


def _fits(request: Mapping[str, int | str], cpus: str, memory: str, gres: str) -> bool:
    model = str(request.get("gpu_model", "")).lower()
    # gpu:4, gpu:a100:4(S:0-1), several by commas
    gpus = re.findall(r"gpu(?::([^:,()]+))??:(\d+)", gres.lower())
    have = sum(int(count) for kind, count in gpus if not model or kind == model)
    wanted = int(request.get("gpu", 1 if model else 0))
    return (
        have >= wanted
        and int(cpus.rstrip("+")) >= int(request.get("cpus", 1))
        and int(memory.rstrip("+")) >= int(request.get("mem_mb", 0))
    )


def status_command(wanted: str | None, first_look: int) -> str:
    """`sacct` where the cluster keeps accounts, `squeue` where it does not.

    The plugin takes sacct wherever there is a command of that name, and then waits for ever on a
    cluster without accounts.

    Args: what the profile says (or the plugin by itself), and seconds before the first look.

    Raises:
        SlurmError: without accounts, and Slurm forgets a job before its end can be noticed.
    """
    if accounting():
        return wanted or "sacct"
    config = ask("scontrol", "show", "config")
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", config.stdout, re.MULTILINE)
    least = max(POLL, 3 * first_look)  # below the latter the plugin takes sacct all the same
    if found and int(found[1]) < least:
        raise SlurmError(
            f"this Slurm keeps no accounts and forgets a job {found[1]} seconds after its end: "
            "Snakemake could miss the end and wait for ever; ask its administrators for accounting "
            f"or for MinJobAge={max(300, least)} in slurm.conf"
        )
    return "squeue"


def _mend_status_queries() -> None:
    """Let the plugin read sacct's `CANCELLED by 1000`, and bear a Slurm that does not answer.

    Version 2.8.0 knows the word CANCELLED alone, and would wait for such a job for ever. Of a look
    that got no answer (slurmctld is restarted) it keeps no job, and would wait for all of them.
    """
    import snakemake_executor_plugin_slurm as plugin

    query = plugin.query_job_status
    if getattr(query, "mended", False):
        return

    async def query_job_status(command, logger):
        states, seconds = await query(command, logger)
        if states is None:
            return {}, 0.0  # nothing is known: jobs without a state count as under way
        return {job: state.partition(" by ")[0] for job, state in states.items()}, seconds

    query_job_status.mended = True
    plugin.query_job_status = query_job_status

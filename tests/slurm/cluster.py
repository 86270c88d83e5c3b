"""A real Slurm of one node, with two pretend GPUs, that lives in a folder of its own.

Runs Debian's slurmctld, slurmd and munged as root, without systemd, cgroups or accounting, on free
ports. Nothing outside its folder is written, and it stops exactly the processes that it started.
What was found by trial, with Slurm 22.05.8:

- A GPU needs a `File=` in gres.conf (`Count=2` alone leaves the node without): device nodes that
  are copies of the null device do.
- The jobstep plugin takes every SLURM_* variable from the environment of the inner `srun`,
  SLURM_CONF too. A real cluster has its configuration in the system's folder; here a wrapper of
  `srun`, first in PATH, puts the variable back.
- Without EnforcePartLimits=ALL an impossible request waits for ever.
- A socket's path may have 107 characters at most: the folder must be short, pytest's is not.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "setpriv")
CPUS, MEMORY, GPUS = 8, 32000, 2

CONFIGURATION = """\
ClusterName=pretend
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
EnforcePartLimits=ALL
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=86400
KillWait=10
SlurmctldTimeout=30
SlurmdTimeout=30
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:fake:{gpus}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=brief Nodes={host} MaxTime=5 State=UP
"""


def why_not() -> str | None:
    """Why no cluster can be started here; None if it can."""
    missing = [name for name in PROGRAMS if _find(name) is None]
    if missing:
        return f"what a cluster takes is not installed (no {', '.join(missing)})"
    if os.geteuid() != 0:
        return "slurmd and munged start jobs for others, which takes root"
    return None


def wait_for(what: str, condition: Callable[[], object], seconds: float = 120) -> object:
    """The first true value of a condition.

    Raises:
        TimeoutError: naming what did not happen.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds:g} s for: {what}")


@dataclass
class Cluster:
    """A cluster; `environment` is what a command needs to reach it."""

    folder: Path
    environment: dict[str, str] = field(init=False)
    processes: dict[str, subprocess.Popen] = field(init=False, default_factory=dict)
    forgotten: set[str] = field(init=False, default_factory=set)
    host: str = field(init=False, default_factory=lambda: socket.gethostname().split(".")[0])

    def __post_init__(self) -> None:
        wrappers = self.folder / "bin"
        wrappers.mkdir()
        wrapper = wrappers / "srun"
        conf = self.folder / "slurm.conf"
        wrapper.write_text(
            f'#!/bin/sh\nexport SLURM_CONF={conf}\nexec {shutil.which("srun")} "$@"\n'
        )
        wrapper.chmod(0o755)
        self.environment = {"SLURM_CONF": str(conf), "PATH": f"{wrappers}:{os.environ['PATH']}"}
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        for number in range(GPUS):
            device = self.folder / f"gpu{number}"
            try:
                os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            except OSError:  # a container that may make no devices: slurmd takes a file, too
                device.touch()
        (self.folder / "gres.conf").write_text(
            f"Name=gpu Type=fake File={self.folder}/gpu[0-{GPUS - 1}]\n"
        )
        controller_port, node_port = _free_ports(2)
        conf.write_text(
            CONFIGURATION.format(
                host=self.host,
                folder=self.folder,
                controller_port=controller_port,
                node_port=node_port,
                cpus=CPUS,
                memory=MEMORY,
                gpus=GPUS,
            )
        )

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        here = self.folder
        options = {
            "socket": here / "munge.socket",
            "key-file": here / "munge.key",
            "pid-file": here / "munged.pid",
            "seed-file": here / "munged.seed",
            "log-file": here / "munged.log",
        }
        self._daemon(
            "munged", "--foreground", "--force", *(f"--{k}={v}" for k, v in options.items())
        )
        wait_for("munged's socket", (here / "munge.socket").exists)
        self.start_controller()
        self._daemon("slurmd", "-D")
        wait_for(
            "an idle node", lambda: self.ask("sinfo", "-h", "-p", "main", "-o", "%T") == "idle"
        )

    def start_controller(self) -> None:
        """Start slurmctld; it takes up the jobs that it had when it was stopped."""
        self._daemon("slurmctld", "-D")
        wait_for("an answer of slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Stop slurmctld; jobs run on."""
        self._end("slurmctld")

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints; empty if it fails."""
        done = subprocess.run(
            command,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def submit(self, script: str, *options: str) -> str:
        """Submit a shell script; the job's number."""
        number = self.ask(
            "sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}"
        )
        assert number.isdigit(), f"sbatch refused {options}"
        return number

    def states(self) -> dict[str, str]:
        """States of the jobs since `forget`, by number, ended ones too."""
        lines = self.ask("squeue", "-h", "-t", "all", "-o", "%i %T").splitlines()
        states = dict(line.split() for line in lines)
        return {job: state for job, state in states.items() if job not in self.forgotten}

    def forget(self) -> None:
        """Leave the jobs so far out of `states`."""
        self.forgotten |= set(self.states())

    def node(self, state: str) -> None:
        """Set the node to `drain` or `resume`."""
        self.ask("scontrol", "update", f"nodename={self.host}", f"state={state}", "reason=test")

    def cancel_all(self) -> None:
        """End whatever a test left behind, and wait until it is gone."""
        self.ask("scancel", "--user=root")
        wait_for("an empty queue", lambda: not self.ask("squeue", "-h", "-o", "%i"))

    def stop(self) -> None:
        """Stop what was started, the last one first."""
        if "slurmctld" in self.processes and self.processes["slurmctld"].poll() is None:
            self.ask("scancel", "--user=root")
        for name in reversed(list(self.processes)):
            self._end(name)

    def logs(self) -> str:
        """The ends of the daemons' logs, for a failure's message."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            parts.append(f"--- {path.name}\n" + path.read_text(errors="replace")[-2000:])
        return "\n".join(parts)

    def _daemon(self, name: str, *options: str) -> None:
        # In the foreground, as a child of ours: its number is known, whatever it writes where. In
        # a session of its own: a Control-C for the tests is none for it, and stop() comes later.
        # If the tests are killed and stop() never comes, the kernel ends it (setpriv).
        with (self.folder / f"{name}.out").open("a") as out:
            self.processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", _find(name), *options],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        process = self.processes.pop(name)
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _find(name: str) -> str | None:
    """A program, also where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _free_ports(number: int) -> list[int]:
    """Ports that nobody listens at just now."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

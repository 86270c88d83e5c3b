"""What the Snakefile needs to know of a study. Imports no torch and no plotting library."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from weightwise import faults, invocation
from weightwise.config import StudyConfig, load_study
from weightwise.config.load import read_study_file
from weightwise.data.prepared import GIVEN, Asked, asked
from weightwise.errors import UserError
from weightwise.figures import KINDS
from weightwise.folders import refuse_full, refuse_unwritable
from weightwise.grid import Grid
from weightwise.layout import Layout
from weightwise.owner import own, refuse_second_file
from weightwise.reconcile import reconcile
from weightwise.stages.jobs import StageJobs

DEFAULT_STUDY = "config.yaml"
# Runs whose ends are told at the end; there may be hundreds.
SHOWN = 20
KNOWN = {"study", "set", "results", "reports", "partial"}


class WorkflowStudy:
    """A study as the rules see it: paths, markers, arguments, what makes a job due."""

    analysis_tables = (
        "changes",
        "arms",
        "regressions",
        "curves",
        "best",
        "overall",
        "noise",
        "comparisons",
        "leave_one_out",
        "confusions",
        "predictions",
        "errors",
        "overlap",
        "conflicts",
        "actions",
        "weights",
        "cost_ratios",
        "learning",
    )
    figure_kinds = KINDS

    def __init__(self, file: Path, overrides: Sequence[str], options: Mapping):
        """Args: the study's file, overrides `key=value`, options of `snakemake --config`."""
        self.file = file
        self.overrides = list(overrides)
        self.options = options
        self.config: StudyConfig = load_study(file, overrides)
        self.partial = bool(options.get("partial"))
        self.layout = Layout(
            self.config.name,
            Path(options.get("results", "results")),
            Path(options.get("reports", "reports")),
        )
        self.grid = Grid(self.config)
        self.stages = StageJobs(self.grid, self.layout)
        self.grid.cells  # noqa: B018 (refuses at once what no grouping can have)
        self._asked: Asked | None = None

    @property
    def arguments(self) -> str:
        """The study on a command line of ours: its file, then options.

        Rules take it by a function of the output, which Snakemake does not count as a reason to
        run again: where a study's file lies decides no result.
        """
        parts = [str(self.file), "--results", str(self.layout.results)]
        for one in self.overrides:
            parts += ["--set", one]
        return shlex.join(parts)

    @property
    def shell_prefix(self) -> str:
        """What every shell command begins with."""
        folder = shlex.quote(str(Path(sys.executable).parent))
        # Signs of life name the Snakemake that they belong to.
        return (
            f"set -euo pipefail; export PATH={folder}:$PATH WEIGHTWISE_SNAKEMAKE={os.getpid()} "
            f"{GIVEN}={self.data_digest}; "
        )

    @cached_property
    def markers(self) -> list[Path]:
        """Markers of all runs."""
        return [marker for pack in self.packs for marker in pack]

    @cached_property
    def packs(self) -> list[list[Path]]:
        """Markers of the runs of every job."""
        return [
            [self.layout.done(run, self.grid.fingerprint(run)) for run in pack]
            for pack in self.grid.packs
        ]

    @cached_property
    def logs(self) -> list[list[Path]]:
        """Logs of the runs of every job."""
        return [
            [self.layout.log(run, self.grid.fingerprint(run)) for run in pack]
            for pack in self.grid.packs
        ]

    def training_resources(self, defaults: Mapping | None, threads: int) -> dict[str, int]:
        """Snakemake's resources of a training.

        One GPU, so that `--resources gpu=2` lets two train at a time; none where the study says
        `device: cpu`. The CPUs are asked for by `cpus_per_task`, which Slurm gets as it is:
        Snakemake cuts `threads` to the cores of the machine where the command was typed, also where
        that is a login node. What default-resources (of a profile) say about either stands:
        Snakemake would let a rule's own word win, and rules of packs have no name that
        set-resources could use.

        Args:
            defaults: the default-resources of this invocation, if any.
            threads: the CPUs that the training uses, at least 1.
        """
        given = set(defaults or {})
        resources = {} if "cpus_per_task" in given else {"cpus_per_task": threads}
        if self.config.training.device == "cpu":
            return resources | {"gpu": 0}
        return resources if "gpu" in given else resources | {"gpu": 1}

    @property
    def data_digest(self) -> str:
        """Name of the prepared data that this study asks for.

        What a job of a workflow reads again is not asked anew: it takes the data that the workflow
        works on, whose sources need not be on the job's machine.
        """
        if self._asked is None:
            working = invocation.data_of(self.layout, self.file, self.overrides)
            if working is not None:
                return working
        return self.asked.digest

    @property
    def asked(self) -> Asked:
        """The prepared data that this study asks for."""
        if self._asked is None:
            self._asked = asked(self.config, self.layout)
        return self._asked

    def reconcile(self) -> None:
        """Make the study's markers tell what the stores hold, and say what was wrong.

        Raises:
            SystemExit: the results belong to another file of the same name.
        """
        if self.partial or "--unlock" in sys.argv:
            return
        try:
            refuse_second_file(self.layout, self.file, self.overrides)
            # One that works on the study finds out for itself; its markers are left alone.
            if not invocation.working(self.layout):
                reconcile(self.config, self.layout, self.asked)
        except UserError as error:
            raise SystemExit(f"error: {error}") from None

    def let_go_on(self) -> None:
        """Refuse folders that cannot be written, in one line before Snakemake does in twenty, and
        remove the lock that a killed Snakemake left on the study, or say what to do.

        Raises:
            SystemExit: this folder, or one of the study's, cannot be written.
        """
        try:
            # Snakemake writes .snakemake here, also in a dry run.
            refuse_unwritable(
                [Path()],
                "Snakemake keeps its notes here; start it in a folder of your own, with "
                "`--snakefile` and the path of this one",
            )
            refuse_unwritable([self.layout.results, self.layout.reports])
        except UserError as error:
            raise SystemExit(f"error: {error}") from None
        if not self.partial and not {"-n", "--dry-run", "--dryrun", "--unlock"} & set(sys.argv):
            invocation.remove_stale_lock(self.layout)

    def begin(self, workflow) -> None:
        """Stop what a killed Snakemake left running, note that this one works on the study, and
        ask Slurm, where jobs go there, whether it takes them.

        Args: Snakemake's workflow, about to start its first job.

        Raises:
            SystemExit: the disk is full, or Slurm would refuse the jobs; it says so in one line.
        """
        if self.partial:
            return
        from weightwise.preflight import before_the_first_job

        invocation.end_when_told(workflow.scheduler)
        invocation.stop_orphans(self.layout)
        executor = getattr(workflow.scheduler, "_executor", None)
        invocation.begin(
            self.layout,
            self.file,
            self.overrides,
            workflow.executor_plugin.name,
            getattr(executor, "run_uuid", None),
            self.data_digest,
        )
        own(self.layout, self.file, self.overrides)
        try:
            refuse_full(self.layout.results)
            before_the_first_job(workflow)
        except UserError as error:
            invocation.end(self.layout, str(error))
            raise SystemExit(f"error: {error}") from None

    def say_where_the_report_is(self) -> None:
        """The last line of a successful run."""
        if not self.partial:
            invocation.end(self.layout)
        if not self.partial and self.layout.report.exists():
            print(f"\nThe report of study '{self.config.name}': {self.layout.report}\n")

    def report_what_there_is(self, workflow) -> None:
        """After a failure: a report of everything that is finished, with what is missing and why.

        Runs in a nested Snakemake, since this one has given up the jobs behind the failed ones.

        Args: Snakemake's workflow; its Snakefile need not lie in the current folder.
        """
        if self.partial:
            return
        slurm = workflow.executor_plugin.name == "slurm"
        if slurm:
            invocation.stop_jobs_left(self.layout)
        invocation.end(self.layout)
        from weightwise import unfinished  # pandas, which the Snakefile's other readers do without
        from weightwise.runs import StudyRuns

        try:
            runs = StudyRuns(self.config, self.layout)
        except UserError:
            return  # the data are not prepared, which has been said
        # Here whoever stops Snakemake stops its trainings; Slurm's jobs end for reasons of their
        # own, and Snakemake has given up those that it tried for the last time.
        given_up = {str(file) for job in workflow.scheduler.failed for file in job.output}
        notes = unfinished.notes(runs, given_up if slurm else (), self.stages.notes())
        for note in notes[:SHOWN]:
            print(f"\n{note['id']}: {note['error']}", file=sys.stderr)
        if len(notes) > SHOWN:
            more = f"\nand {len(notes) - SHOWN} more: `weightwise status` lists them"
            print(more, file=sys.stderr)
        failed = sum(not note.get("stopped") for note in notes)
        if not failed:
            # Stopped by hand, or something else than a run failed: a report would say nothing new.
            print("\nThe same command goes on with what is missing.", file=sys.stderr)
            return
        total = f"{len(self.grid.runs)} runs"
        if self.grid.stages:
            total += f" and {len(self.grid.stages)} stages"
        print(
            f"\n{failed} of {total} of study '{self.config.name}' failed. "
            "Reporting what there is; the same command tries only the missing ones again.",
            file=sys.stderr,
        )
        options = dict(self.options) | {"study": str(self.file), "partial": True}
        command = [sys.executable, "-m", "snakemake", "--nolock", "--cores", "1", "--quiet", "all"]
        command += ["--snakefile", workflow.main_snakefile, "--forcerun", "collect", "--config"]
        command += [f"{key}={json.dumps(value)}" for key, value in options.items()]
        done = subprocess.run(command, check=False)
        if done.returncode == 0:
            print(f"\nThe partial report: {self.layout.report}", file=sys.stderr)
        else:
            print("\nThe partial report failed, too; its messages are above.", file=sys.stderr)


def open_study(config: Mapping, configfiles: Sequence[str | Path]) -> WorkflowStudy:
    """The study of a Snakemake invocation.

    `--configfile FILE` or `--config study=FILE` name it; without either it is config.yaml.
    Snakemake has merged a config file into `config` by now, over whatever else there was; the
    study is read again from its own file instead, through the typed model.

    Raises:
        SystemExit: anything wrong, in one line; Snakemake would print its own errors with a line
            before it and the Snakefile's lines after it.
    """
    try:
        files = [Path(file) for file in configfiles]
        if len(files) > 1:
            raise UserError(
                "give one --configfile (a study may name another one in `extends`), and a target "
                "before it: `snakemake TARGET --configfile FILE`"
            )
        inside = read_study_file(files[0]) if files else {}
        # Snakemake has laid --config over the file; what differs from the file was typed.
        options = {k: v for k, v in config.items() if k not in inside or inside[k] != v}
        unknown = sorted(set(options) - KNOWN)
        if unknown:
            raise UserError(
                f"--config {unknown[0]}: not known; known are {', '.join(sorted(KNOWN))}. Keys of "
                "the study are overridden by --config set='[\"key=value\"]'"
            )
        file = Path(options.get("study") or (files[0] if files else DEFAULT_STUDY))
        overrides = options.get("set", [])
        if isinstance(overrides, str):
            overrides = [overrides]
        return WorkflowStudy(file, [str(one) for one in overrides], options)
    except Exception as error:
        faults.show_traceback(error)
        raise SystemExit(f"error: {faults.explain(error)}") from None

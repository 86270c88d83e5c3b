"""`weightwise status`: how far a study is, for a person in another shell."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table

from weightwise.duration import duration
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.layout import Layout
from weightwise.progress import STATES, Status, StudyStatus

SHOWN = 20
WIDTH = 60
# What the JSON tells of a running run.
BEAT = ("step", "steps", "host", "pid", "slurm_job")


def named_study(name: str, results: Path) -> tuple[Path, list[str]]:
    """The file and overrides of a study that has been started here, by its name.

    Raises:
        UserError: nothing by that name was ever started in `results`.
    """
    note = read_json(Layout(name, results).invocation)
    if not isinstance(note, dict) or "study" not in note:
        known = sorted(path.parent.name for path in results.glob("*/invocation.json"))
        raise UserError(
            f"{name}: no such file, and no study of that name was started with results in "
            f"{results}" + (f"; started were {', '.join(known)}" if known else "")
        )
    return Path(str(note["study"])), [str(one) for one in note.get("set", [])]


def render(name: str, found: StudyStatus) -> RenderableType:
    """The status as it is printed."""
    total = len(found.runs)
    filled = WIDTH * found.count("done") // max(total, 1)
    counts = ", ".join(f"{found.count(s)} {s}" for s in STATES if found.count(s) or s == "done")
    parts: list[RenderableType] = [
        f"Study [bold]{escape(name)}[/bold]: {total} runs: {counts}",
        f"[green]{'━' * filled}[/green][dim]{'━' * (WIDTH - filled)}[/dim]",
    ]
    if found.stages:
        told = ", ".join(f"{one.id.removeprefix('stage ')} {one.state}" for one in found.stages)
        parts.append(escape(f"Stages, before the runs that start from them: {told}"))
    if not found.prepared:
        parts.append("The data are not prepared yet.")
    times = []
    if found.elapsed is not None:
        word = "took" if found.invocation.get("ended") else "elapsed"
        times.append(f"{word} {duration(found.elapsed)}")
    if found.eta is not None:
        times.append(f"ETA {duration(found.eta)}")
    if times:
        where = f"on {found.invocation.get('host')}" if found.elapsed is not None else ""
        parts.append(escape(f"{', '.join(times)} {where}".strip()))
    if found.invocation.get("reason"):
        parts.append(escape(f"The last command could not start: {found.invocation['reason']}"))
    everything = [*found.stages, *found.runs]
    running = [one for one in everything if one.state == "running"]
    if running:
        parts.append(_running(running))
    for state in ("failed", "stopped"):
        those = [one for one in everything if one.state == state]
        if those:
            parts.append(_ended(state, those))
    return Group(*parts)


def _running(those: list[Status]) -> Table:
    table = Table(
        Column("running", overflow="fold"), "step", "epoch", "for", "where", title_justify="left"
    )
    for one in those[:SHOWN]:
        facts = one.facts
        job = f", Slurm job {facts['slurm_job']}" if facts.get("slurm_job") else ""
        table.add_row(
            escape(one.id),
            f"{facts['step']} of {facts['steps'] or '?'}",
            str(facts["epoch"]),
            duration(max(0.0, time.time() - facts["started"])),
            escape(f"{facts['host']}, process {facts['pid']}{job}"),
        )
    return _and_more(table, those)


def _ended(state: str, those: list[Status]) -> Table:
    table = Table(
        Column(state, overflow="fold"), "why, and the log's last line", title_justify="left"
    )
    for one in those[:SHOWN]:
        line = one.last_line
        repeated = not line or one.reason in line or line in one.reason
        text = one.reason if repeated else f"{one.reason}\n{line}"
        table.add_row(escape(one.id), escape(f"{text}\n{one.log}"))
    return _and_more(table, those)


def _and_more(table: Table, those: list[Status]) -> Table:
    if len(those) > SHOWN:
        table.add_row(f"and {len(those) - SHOWN} more", *[""] * (len(table.columns) - 1))
    return table


def as_json(name: str, found: StudyStatus) -> dict:
    """The status for programs."""
    return {
        "study": name,
        "prepared": found.prepared,
        "counts": {state: found.count(state) for state in STATES},
        "reason": found.invocation.get("reason"),
        "elapsed_seconds": found.elapsed,
        "eta_seconds": found.eta,
        "stages": [_one(one) for one in found.stages],
        "runs": [_one(one) for one in found.runs],
    }


def _one(one: Status) -> dict:
    return (
        {"id": one.id, "state": one.state, "log": str(one.log)}
        | ({"reason": one.reason, "last_line": one.last_line} if one.reason else {})
        | ({k: one.facts.get(k) for k in BEAT} if one.state == "running" else {})
    )


def show(name: str, found: StudyStatus) -> None:
    """Print it."""
    Console(highlight=False).print(render(name, found))

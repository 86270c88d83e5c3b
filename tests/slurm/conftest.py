"""Studies on a real Slurm, which is started for them where its programs are installed."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cluster as pretend
import pytest
import studies

from tiny_study import Project, make_project


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[pretend.Cluster]:
    """One cluster for all tests."""
    reason = pretend.why_not()
    if reason:
        pytest.skip(reason)
    # A terminated test run ends like an interrupted one: with its cluster.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    made = pretend.Cluster(folder)
    try:
        try:
            made.start()
        except TimeoutError as error:
            pytest.fail(f"the cluster did not start: {error}\n{made.logs()}")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def cluster(running_cluster, monkeypatch) -> Iterator[pretend.Cluster]:
    """The cluster, reachable, with an empty queue before and after."""
    for key, value in running_cluster.environment.items():
        monkeypatch.setenv(key, value)
    running_cluster.forget()
    yield running_cluster
    running_cluster.node("resume")
    running_cluster.cancel_all()


@pytest.fixture
def project(cluster, tmp_path) -> Iterator[Project]:
    """The tiny study in a folder, ready for Slurm."""
    made = tiny(tmp_path)
    made.command = studies.command
    yield made
    made.stop()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    """Tables of the tiny study, computed here, in one job and without an interruption."""
    made = tiny(tmp_path_factory.mktemp("undisturbed"))
    made.write(runs_per_job=4)
    done = made.snakemake("tables")
    assert done.returncode == 0, done.stderr
    return studies.tables(made)


def tiny(folder: Path) -> Project:
    """The tiny study in a folder, cut to one seed and one pair: four runs, one a job."""
    made = make_project(folder)
    made.environment |= {"OMP_NUM_THREADS": "1"}
    made.write(
        seeds=[1],
        groupings=[["MOOD", "SAME"]],
        combiners=["addition", "pcgrad"],
        alphas=[],
        runs_per_job=1,
        training=made.study["training"] | {"epochs": 12},
    )
    return made

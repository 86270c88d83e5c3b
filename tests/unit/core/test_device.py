"""Which card a training takes; torch.cuda is played, the locks are real."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from weightwise.errors import UserError
from weightwise.train import device
from weightwise.train.device import choose_device


@pytest.fixture
def cards(monkeypatch):
    """`cards(2)`: a machine with so many GPUs, none of them taken by this process."""

    def have(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid=f"GPU-{i}")
        )

    monkeypatch.setattr(device, "_TAKEN", {})
    return have


def hold(folder, name: str) -> subprocess.Popen:
    """Another process that has a card."""
    code = (
        "import sys; from filelock import FileLock\n"
        f"lock = FileLock({str(folder / (name + '.lock'))!r}); lock.acquire(timeout=0)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(cards):
    cards(0)
    assert choose_device("auto") == torch.device("cpu")
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="sees no GPU; use auto or cpu"):
        choose_device("cuda")


def test_the_only_card_needs_no_lock(cards, tmp_path):
    cards(1)
    assert choose_device("auto", tmp_path) == torch.device("cuda", 0)
    assert choose_device("cpu", tmp_path) == torch.device("cpu")
    assert not list(tmp_path.iterdir())


def test_each_training_takes_a_card_of_its_own_and_keeps_it(cards, tmp_path):
    cards(3)
    first = hold(tmp_path, "GPU-0")
    try:
        assert choose_device("auto", tmp_path) == torch.device("cuda", 1)
        assert choose_device("auto", tmp_path) == torch.device("cuda", 1)
        assert set(device._TAKEN) == {1}
    finally:
        first.communicate()


def test_a_card_is_free_again_when_its_process_is_gone(cards, tmp_path):
    cards(2)
    first = hold(tmp_path, "GPU-0")
    first.kill()
    first.communicate()
    assert choose_device("cuda", tmp_path) == torch.device("cuda", 0)


def test_one_is_shared_where_all_are_taken(cards, tmp_path):
    cards(2)
    others = [hold(tmp_path, "GPU-0"), hold(tmp_path, "GPU-1")]
    try:
        assert choose_device("auto", tmp_path).index in (0, 1)
        assert not device._TAKEN
    finally:
        for other in others:
            other.communicate()

"""Fixtures that the unit tests of several rooms share."""

from __future__ import annotations

import pytest

from weightwise.identity import machine


@pytest.fixture
def play(monkeypatch, tmp_path):
    """`play(bf16)`: this machine's processor multiplies bfloat16, or it does not."""

    def become(bf16: bool) -> None:
        file = tmp_path / f"cpuinfo-{bf16}"
        file.write_text(f"flags\t: avx2 {'avx512_bf16' if bf16 else ''}\n")
        monkeypatch.setattr(machine, "CPU_INFO", file)
        machine.cpu_flags.cache_clear()

    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    yield become
    machine.cpu_flags.cache_clear()

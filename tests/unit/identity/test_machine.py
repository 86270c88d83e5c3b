"""What `auto` means here: the same answer with and without torch, and keys that hold it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from weightwise.identity import machine
from weightwise.identity.machine import Arithmetic, here, possible, slow_bf16
from weightwise.train.device import choose_bf16, choose_device

TORCHLESS = """
import sys
from weightwise.identity.machine import here, multiplies_bf16
found = here("auto", "auto")
assert "torch" not in sys.modules
print(found.device, found.precision, multiplies_bf16("cpu"), multiplies_bf16("cuda"))
"""


def test_the_answer_without_torch_is_torchs_own():
    done = subprocess.run([sys.executable, "-c", TORCHLESS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    gpu = torch.cuda.is_available()
    cpu = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    cuda = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    bf16 = cuda if gpu else cpu
    want = ["cuda" if gpu else "cpu", "bf16" if bf16 else "fp32", str(cpu), str(cuda)]
    assert done.stdout.split() == want


def test_a_training_computes_what_its_key_says():
    device = choose_device("auto")
    precision = "bf16" if choose_bf16("auto", device) else "fp32"
    assert here("auto", "auto") == Arithmetic(device.type, precision)
    assert choose_bf16("bf16", device)
    assert not choose_bf16("fp32", device)


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_tile", None])
def test_processors_flags_decide(monkeypatch, tmp_path, flag):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: fpu avx2 {flag or ''}\nbugs\t\t: amx_tile\n")
    monkeypatch.setattr(machine, "CPU_INFO", file)
    machine.cpu_flags.cache_clear()
    try:
        assert here("auto", "cpu") == Arithmetic("cpu", "bf16" if flag else "fp32")
        told = slow_bf16(Arithmetic("cpu", "bf16"))
        assert (told is None) is (flag is not None)
        assert slow_bf16(Arithmetic("cpu", "fp32")) is None
    finally:
        machine.cpu_flags.cache_clear()


def test_all_that_auto_can_mean():
    assert possible("fp32", "cpu") == (Arithmetic("cpu", "fp32"),)
    assert len(possible("auto", "cpu")) == len(possible("bf16", "auto")) == 2
    assert len(set(possible("auto", "auto"))) == 4

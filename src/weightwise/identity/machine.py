"""What `auto` means on this machine: device class and precision. Imports no torch.

A key holds "cpu" or "cuda" and "fp32" or "bf16", never `auto`: two machines that train differently
have different keys. Readers (status, collect, reports) must answer the same question without the
second that importing torch takes. Where torch is loaded, it is asked itself.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# What `torch.cpu._is_avx512_bf16_supported` and `torch.cpu._is_amx_tile_supported` look for.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_tile"})
_AMPERE = 8
_COMPUTE_CAPABILITY_MAJOR = 75


@dataclass(frozen=True)
class Arithmetic:
    """The device class (`cpu`, `cuda`) and the precision (`fp32`, `bf16`) of a training."""

    device: str
    precision: str

    def told(self) -> dict[str, str]:
        """Both by name, for a key or a record."""
        return asdict(self)


def possible(precision: str, device: str) -> tuple[Arithmetic, ...]:
    """All that two keys of the configuration can mean on some machine.

    Args:
        precision: `auto`, `fp32` or `bf16`.
        device: `auto`, `cpu` or `cuda`.
    """
    devices = ("cpu", "cuda") if device == "auto" else (device,)
    precisions = ("fp32", "bf16") if precision == "auto" else (precision,)
    return tuple(Arithmetic(*pair) for pair in itertools.product(devices, precisions))


def here(precision: str, device: str) -> Arithmetic:
    """What two keys of the configuration mean on this machine; see `possible` for the arguments.

    `device: cuda` stays `cuda` where there is no GPU: the training refuses to begin.
    """
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    return Arithmetic(device, precision)


def multiplies_bf16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16 natively: emulated it is slower than fp32.

    Args:
        device: `cpu` or `cuda`; of several GPUs the first one counts.
    """
    if device == "cpu":
        return bool(BF16_FLAGS & cpu_flags())
    torch = _torch()
    if torch is not None:
        return has_gpu() and torch.cuda.is_bf16_supported(including_emulation=False)
    kind, driver = _driver()
    if driver is None:
        return False
    return kind == "hip" or _compute_capability(driver) >= _AMPERE


def has_gpu() -> bool:
    """Whether torch would see a GPU: its build serves one, and the driver counts at least one that
    this process may use (`CUDA_VISIBLE_DEVICES`)."""
    torch = _torch()
    return torch.cuda.is_available() if torch is not None else _driver()[1] is not None


@functools.cache
def cpu_flags() -> frozenset[str]:
    """The processor's features as the kernel names them; none where it does not tell (macOS)."""
    try:
        text = CPU_INFO.read_text("utf-8", "replace")
    except OSError:
        return frozenset()
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def slow_bf16(arithmetic: Arithmetic) -> str | None:
    """A warning where bfloat16 is computed by hardware that only emulates it; None elsewhere."""
    if arithmetic.precision == "fp32" or multiplies_bf16(arithmetic.device):
        return None
    what = "processor" if arithmetic.device == "cpu" else "GPU"
    return (
        f"this machine's {what} has no instructions for bfloat16, so `precision: bf16` is emulated "
        "and many times slower than fp32 (13 times, measured on an AVX2 processor): set "
        "`precision: fp32`, or `auto`, which takes bf16 only where it is faster"
    )


def _torch():
    """torch, where this process has loaded it."""
    module = sys.modules.get("torch")
    return module if hasattr(module, "cuda") and hasattr(module.cuda, "is_available") else None


@functools.cache
def _driver() -> tuple[str | None, ctypes.CDLL | None]:
    """The GPU driver that torch's build would use (`cuda`, `hip`), initialised, if it counts a
    GPU."""
    kind = _torch_build()
    name, begin, count = {
        "cuda": ("libcuda.so.1", "cuInit", "cuDeviceGetCount"),
        "hip": ("libamdhip64.so", "hipInit", "hipGetDeviceCount"),
    }.get(kind, (None, "", ""))
    if name is None:
        return None, None
    try:
        library = ctypes.CDLL(name)
        found = ctypes.c_int(0)
        if getattr(library, begin)(0) or getattr(library, count)(ctypes.byref(found)):
            return kind, None
    except (OSError, AttributeError):
        return kind, None
    return kind, library if found.value > 0 else None


def _torch_build() -> str | None:
    """`cuda` or `hip` as the installed torch was built for it, read from its version.py; None for
    a build for processors alone."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text("utf-8")
    except OSError:
        return None
    for kind in ("cuda", "hip"):
        if re.search(rf"^{kind}\b[^=\n]*=\s*['\"]", text, re.MULTILINE):
            return kind
    return None


def _compute_capability(driver: ctypes.CDLL) -> int:
    """Major number of the first GPU's compute capability; 0 where the driver does not tell."""
    device, major = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuDeviceGet(ctypes.byref(device), 0):
        return 0
    failed = driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device)
    return 0 if failed else major.value

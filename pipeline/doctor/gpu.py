"""The GPU: driver, CUDA, TensorRT, pycuda."""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from seg_stream.pipeline.doctor.finding import Finding, absent, right, wrong

ROOT = Path("/")

NVIDIA = "0x10de"
CUDA_13 = 13000
"""TensorRT 11, onnxruntime-gpu 1.31 and kernels made by CUDA 13 need a driver of 580 or newer."""

RTX_CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0))
"""What TensorRT-RTX is made for; a 12 stands for all of that generation."""


def check_driver(root: Path = ROOT) -> Finding:
    """Whether there is an NVIDIA GPU, and its kernel driver."""
    driver = root / "proc/driver/nvidia/version"
    if driver.is_file():
        words = driver.read_text(errors="replace").split()
        number = next((w for w in words if w[0].isdecimal() and w.count(".") >= 1), "?")
        return right("NVIDIA driver", number)
    cards = [card for card in (root / "sys/bus/pci/devices").glob("*") if _is_gpu(card)]
    if cards:
        return wrong(
            "NVIDIA driver",
            f"there is an NVIDIA GPU ({cards[0].name}), but its driver is not loaded",
            "install the driver (580 or newer) and restart; in a container, start it with "
            "--gpus all",
        )
    if sys.platform != "linux":
        return absent("NVIDIA driver", "is looked for on Linux only")
    return absent("NVIDIA driver", "no NVIDIA GPU; the network runs on the CPU")


def _is_gpu(card: Path) -> bool:
    try:
        vendor = (card / "vendor").read_text().strip()
        kind = (card / "class").read_text().strip()
    except OSError:
        return False
    return vendor == NVIDIA and kind.startswith("0x03")  # a display controller


def check_cuda(library: str = "libcuda.so.1") -> Finding:
    """What CUDA the driver offers, and the GPU's name; asked of the driver itself."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return absent("CUDA", f"the driver's library ({library}) is not there")
    status = cuda.cuInit(0)
    if status:
        return wrong(
            "CUDA",
            f"the driver's library is there but does not start (error {status})",
            "restart after a driver update; in a container, start it with --gpus all",
        )
    offered, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(offered))
    cuda.cuDeviceGetCount(ctypes.byref(count))
    said = f"{offered.value // 1000}.{offered.value % 1000 // 10}"
    if not count.value:
        return wrong("CUDA", f"{said}, but no GPU is visible", "look at CUDA_VISIBLE_DEVICES")
    if offered.value < CUDA_13:
        return wrong(
            "CUDA",
            f"the driver offers {said}; TensorRT 11 and onnxruntime-gpu need 13.0",
            "update the driver to 580 or newer",
        )
    name, major, minor = ctypes.create_string_buffer(100), ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGetName(name, 100, 0)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, 0)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, 0)
    gpu = name.value.decode(errors="replace")
    return right("CUDA", f"{said}, {gpu}, compute capability {major.value}.{minor.value}")


def check_tensorrt() -> Finding:
    """TensorRT: the package and its libraries, which come separately."""
    return _library(
        "TensorRT",
        "tensorrt",
        "pip install 'seg-stream[gpu]'; its libraries come from NVIDIA's package index",
    )


def check_tensorrt_rtx() -> Finding:
    """TensorRT for RTX, which also builds without a GPU."""
    return _library("TensorRT-RTX", "tensorrt_rtx", "pip install 'seg-stream[rtx]'")


def check_pycuda() -> Finding:
    """Pycuda, which is compiled when it is installed."""
    return _library(
        "pycuda",
        "pycuda.driver",
        "pip install 'seg-stream[gpu]' where CUDA's nvcc is; set CUDA_ROOT if it is elsewhere",
    )


def _library(subject: str, module: str, fix: str) -> Finding:
    """Whether a module is installed and starts."""
    package = module.partition(".")[0]
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == package:
            return absent(subject, "is not installed", fix)
        return wrong(subject, f"is installed, but {error.name} is missing", fix)
    except Exception as error:  # a library that is not there, of whatever kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return wrong(subject, f"is installed but does not start ({reason})", fix)
    number = getattr(found, "__version__", None)
    return right(subject, str(number or _version(package)))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"

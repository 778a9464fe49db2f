"""The kernels of `engines/kernels` as C++ on this machine, behind what `Gpu` offers."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.kernels import FOLDER
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine

KERNEL = re.compile(
    r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(const (\w+) a\)'
)
SHIM = Path(__file__).with_name("shim.h")


def compile_twins(folder: Path) -> dict[str, ctypes.CDLL]:
    """One library for each file of kernels, made with g++."""
    # Without fused multiply-adds, which some processors have and the kernels do not ask for.
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-U_FORTIFY_SOURCE"]
    flags.append("-ffp-contract=off")
    started, twins = [], {}
    for source in sorted(FOLDER.glob("*.cu")):
        exports = "".join(f"EXPORT({n}, {a})\n" for n, a in KERNEL.findall(source.read_text()))
        main = folder / f"{source.stem}.cpp"
        main.write_text(f'#include "{SHIM}"\n#include "{source}"\n{exports}')
        library = main.with_suffix(".so")
        command = ["g++", *flags, "-o", str(library), str(main)]
        started.append((source.stem, library, subprocess.Popen(command)))
    for name, library, compiler in started:
        assert compiler.wait() == 0, f"g++ refuses {name}"
        twins[name] = ctypes.CDLL(str(library))
    return twins


class HostMemory:
    def __init__(self, size: int) -> None:
        self.array = np.full(size + 64, 0xA5, np.uint8)
        self.address = self.array.ctypes.data
        self.size = size

    def numbers(self, dtype: npt.DTypeLike, *shape: int) -> npt.NDArray[Any]:
        return self.array[: self.size].view(dtype)[: int(np.prod(shape))].reshape(shape)

    def check(self) -> None:
        assert (self.array[self.size :] == 0xA5).all(), "a kernel wrote past its memory"


class HostPinned:
    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array


class HostStream:
    handle = 0

    def wait_for(self, event: Any) -> None:
        pass


class HostEvent:
    def record(self, stream: Any) -> None:
        pass


class HostGpu:
    """What a `Gpu` does, done at once in the caller's thread; counts what is held."""

    name = "host"
    index = 0

    def __init__(self, twins: dict[str, ctypes.CDLL]) -> None:
        self._twins = twins
        self.held: list[Any] = []
        self.launched: list[str] = []
        self.copied = {"up": 0, "down": 0}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def _hold(self, each: Any) -> Any:
        self.held.append(each)
        return each

    def memory(self, size: int) -> Any:
        return self._hold(HostMemory(size))

    def pinned(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> Any:
        return self._hold(HostPinned(np.zeros(shape, dtype)))

    def stream(self) -> Any:
        return self._hold(HostStream())

    def event(self, timing: bool = False) -> Any:
        return self._hold(HostEvent())

    def upload(self, memory: Any, source: Any, stream: Any, offset: int = 0) -> None:
        flat = source.array.reshape(-1).view(np.uint8)
        memory.array[offset : offset + flat.size] = flat
        self.copied["up"] += 1

    def download(self, target: Any, memory: Any, stream: Any, offset: int = 0) -> None:
        flat = target.array.reshape(-1).view(np.uint8)
        flat[:] = memory.array[offset : offset + flat.size]
        self.copied["down"] += 1

    def clear(self, address: int, size: int, stream: Any) -> None:
        ctypes.memset(address, 0, size)

    def launch(
        self, kernel: str, arguments: ctypes.Structure, grid: Any, block: Any, stream: Any
    ) -> None:
        file, _, name = kernel.partition(".")
        twin = self._twins[file]
        assert getattr(twin, f"size_{name}")() == ctypes.sizeof(arguments)
        shape = (ctypes.c_uint * 6)(*grid, *block)
        getattr(twin, f"run_{name}")(ctypes.byref(arguments), shape)
        self.launched.append(kernel)
        for each in self.held:
            if isinstance(each, HostMemory):
                each.check()

    def wait(self, event: Any) -> None:
        pass

    def release(self, *held: Any) -> None:
        for each in held:
            self.held.remove(each)

    def close(self) -> None:
        self.held.clear()


class HostEngine(DeviceEngine):
    """A model on the CPU that reads and writes the memory of a `HostGpu`."""

    name = "host"

    def __init__(self, gpu: Any, model: Path) -> None:
        self._cpu = OnnxRuntimeEngine(model, threads=2)
        super().__init__(gpu, self._cpu.info, self._cpu.input, self._cpu.output)

    def enqueue(self, stream: Any) -> None:
        memory: Any = self.input_memory
        mask = self._cpu.infer(memory.numbers(np.float32, *self.input.shape).copy())
        memory = self.output_memory
        memory.numbers(np.float32, *self.output.shape)[:] = mask

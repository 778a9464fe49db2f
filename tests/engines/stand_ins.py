"""Stand-ins for a GPU and for the half of TensorRT that needs one; building stays TensorRT-RTX's.

They show that calls come in order, in the right place, and that each one's failure is seen. That
the real ones do what is expected of them is for `make gpu-check` to show.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.pipeline.errors import SegStreamError


class StandInMemory:
    known: dict[int, StandInMemory] = {}  # noqa: RUF012  # addresses are those of the process

    def __init__(self, size: int) -> None:
        self.array = np.zeros(size, np.uint8)
        self.address = self.array.ctypes.data
        self.known[self.address] = self


class StandInGpu:
    """Does at once, in the caller's thread, what a GPU would do later in its own."""

    opened: list[StandInGpu] = []  # noqa: RUF012  # for the tests to look at

    def __init__(self, index: int = 0) -> None:
        self.index, self.name, self.compute_capability = index, "NVIDIA Stand-in", (8, 9)
        self.driver_version = 13000
        self.closed = self._inside = False
        self.opened.append(self)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.closed:
            raise SegStreamError("The GPU is closed; open it again.")
        before, self._inside = self._inside, True
        try:
            return function(*arguments)
        finally:
            self._inside = before

    def _check(self) -> None:
        if not self._inside:
            raise AssertionError("this belongs to the GPU's thread")

    def memory(self, size: int) -> StandInMemory:
        self._check()
        return StandInMemory(size)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> Any:
        self._check()
        return SimpleNamespace(array=np.empty(shape, dtype))

    def stream(self) -> Any:
        self._check()
        return SimpleNamespace(handle=77, wait_for=lambda _: self._check())

    def event(self) -> Any:
        self._check()
        return SimpleNamespace(record=lambda _: self._check())

    def upload(self, memory: StandInMemory, source: Any, stream: Any) -> None:
        self._check()
        memory.array[:] = source.array.view(np.uint8).ravel()

    def download(self, target: Any, memory: StandInMemory, stream: Any) -> None:
        self._check()
        target.array.view(np.uint8).ravel()[:] = memory.array

    def wait(self, event: Any) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class StandInRuntime:
    """How a runtime behaves: `refuse` names calls that fail, `model` is what an engine gives."""

    def __init__(self, trt: Any, model: OnnxRuntimeEngine) -> None:
        self.trt, self.model = trt, model
        self.refuse: set[str] = set()
        self.loaded: list[bytes] = []
        self.deserialized: list[bytes] = []
        self.dtype = trt.float32

    def module(self) -> ModuleType:
        """TensorRT-RTX's module with this runtime in it."""
        module = ModuleType("tensorrt_rtx")
        module.__dict__.update(vars(self.trt))
        module.Runtime = lambda _: self._unless("runtime", self)  # type: ignore[attr-defined]
        return module

    def _unless(self, name: str, value: Any, failure: Any = None) -> Any:
        return failure if name in self.refuse else value

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        self.loaded.append(plan)
        if "old" in self.refuse and len(self.loaded) == 1:
            return None
        return self._unless("engine", self)

    # The engine.

    num_io_tensors = 2

    def get_tensor_name(self, index: int) -> str:
        return (self.model.input, self.model.output)[index].name

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.trt.TensorIOMode
        return modes.INPUT if name == self.model.input.name else modes.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.model.input if name == self.model.input.name else self.model.output).shape

    def get_tensor_dtype(self, name: str) -> Any:
        return self.dtype

    def create_runtime_config(self) -> Any:
        return self._unless("configuration", self)

    def create_runtime_cache(self) -> Any:
        return self._unless("runtime cache", self)

    def deserialize(self, blob: bytes) -> bool:
        self.deserialized.append(blob)
        return True

    def serialize(self) -> bytes:
        return b"compiled for this GPU"

    def set_runtime_cache(self, cache: Any) -> bool:
        return bool(self._unless("use of the cache", True, False))

    def create_execution_context(self, config: Any) -> Any:
        return self._unless("context", StandInContext(self))


class StandInContext:
    def __init__(self, runtime: StandInRuntime) -> None:
        self._runtime = runtime
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return "address" not in self._runtime.refuse

    def execute_async_v3(self, stream_handle: int) -> bool:
        if "run" in self._runtime.refuse or stream_handle != 77:
            return False
        model = self._runtime.model
        memory = [
            StandInMemory.known[self._addresses[spec.name]].array.view(np.float32)
            for spec in (model.input, model.output)
        ]
        memory[1][:] = model.infer(memory[0].reshape(model.input.shape).copy()).ravel()
        return True

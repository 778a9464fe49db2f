"""TensorRT and TensorRT-RTX on an NVIDIA GPU: one class for both, since they have one interface."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from threading import Event as StopEvent
from traceback import clear_frames
from typing import Any

from seg_stream.engines.cache import EngineCache, EngineKey
from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.cuda import Gpu, Stream
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.installed import require_library
from seg_stream.engines.model_info import ModelInfo, read_info
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.engines.tensorrt_build import (
    OPTIONS,
    Built,
    Library,
    Progress,
    open_library,
)
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError

ENGINE_SUFFIX = ".engine"


class NotBuiltError(SegStreamError):
    """There is no engine for this model and GPU yet, and none was to be built."""


class TensorRtEngine(DeviceEngine):
    """Runs a model as an FP16 engine, which is built for this GPU if there is none yet.

    The execution context is made once, and every call's return is checked.

    Args:
        library: `tensorrt` or `tensorrt-rtx`.
        model: an ONNX file in FP32, or an engine file that the user gives by hand.
        index: which GPU, as `nvidia-smi` counts them.
        descriptions: folder of `NAME.toml` for models that do not describe themselves.
        cache: where engines are kept; the user's cache folder by default.
        build: build the engine if there is none; takes seconds to minutes.
        progress: told how far the build is.
        stop: set it to end the build early.

    Raises:
        UserError: the library, the GPU or pycuda is missing, or the model does not fit.
        NotBuiltError: there is no engine, and none was to be built.
        SegStreamError: the engine cannot be built or loaded.
        Stopped: `stop` was set.
    """

    def __init__(
        self,
        library: str,
        model: Path,
        *,
        index: int = 0,
        descriptions: Path | None = None,
        cache: EngineCache | None = None,
        build: bool = True,
        progress: Progress | None = None,
        stop: StopEvent | None = None,
    ) -> None:
        require_library(library)
        self.notes: list[str] = []
        self._context: Any = None
        self._native: Any = None
        self._runtime: Any = None
        self._runtime_cache: Any = None
        gpu = self.gpu = Gpu(index)
        try:
            self._library = open_library(library)
            self.name = f"{_TITLES[library]} {self._library.version} FP16 ({gpu.name})"
            self._cache = cache or EngineCache(warn=self.notes.append)
            if model.suffix == ENGINE_SUFFIX:
                self._open_file(model, descriptions)
            else:
                self._open_model(model, descriptions, build, progress, stop)
        except BaseException as error:
            clear_frames(error.__traceback__)  # else what they hold outlives the GPU
            with suppress(SegStreamError):
                gpu.call(self.unload)
            gpu.close()
            raise

    def enqueue(self, stream: Stream) -> None:
        """See `DeviceEngine.enqueue`."""
        started = self._context.execute_async_v3(stream.handle)
        self._library.check(started, "run the engine")

    def _open_file(self, model: Path, descriptions: Path | None) -> None:
        from seg_stream.engines.engine_file import read_report

        report = read_report(model)
        if report and report.engine != self._library.name:
            raise UserError(
                f"{model} is an engine of {report.engine}; choose --engine {report.engine}."
            )
        self.notes.append(
            f"{model} is loaded because you gave it: an engine is code, so give only your own."
        )
        info = report.info if report else read_info(model, {}, descriptions)
        self._start(model.read_bytes(), info)

    def _open_model(
        self,
        model: Path,
        descriptions: Path | None,
        build: bool,
        progress: Progress | None,
        stop: StopEvent | None,
    ) -> None:
        with OnnxRuntimeEngine(model, threads=1, descriptions=descriptions) as described:
            info, specs = described.info, (described.input, described.output)
        key = self._key(model, specs)
        if not build and not self._cache.has(key):
            raise NotBuiltError(f"{self._library.name} has no engine for {model.stem} here yet.")
        fresh = False

        def make(timing: bytes) -> Built:
            nonlocal fresh
            from seg_stream.export.engine_export import build_fp16

            fresh = True
            # TensorRT-RTX builds in less than a second: the next start is glad of it.
            ended = stop if self._library.name == "tensorrt" else None
            built, report = build_fp16(
                self._library, model, info,
                timing=timing, progress=progress, stop=ended, call=self.gpu.call,
            )  # fmt: skip
            if report.kept:
                self.notes.append(f"Kept in FP32: {', '.join(report.kept)}.")
            return built

        kept = self._cache.compiled(key)
        plan = self._cache.get(key, make, stop)
        if stop and stop.is_set():
            raise Stopped("The engine was built, but not started any more.")
        try:
            self._start(plan, info, kept)
        except SegStreamError:
            if fresh:
                raise
            self._cache.forget(key)
            if not build:
                raise NotBuiltError(f"{self._library.name} cannot load what it kept.") from None
            self.gpu.call(self.unload)
            self._start(self._cache.get(key, make, stop), info)
        if self._runtime_cache is not None:
            compiled = self.gpu.call(lambda: bytes(self._runtime_cache.serialize()))
            if compiled != kept:
                self._cache.keep_compiled(key, compiled)

    def _start(self, plan: bytes, info: ModelInfo, compiled: bytes = b"") -> None:
        """Load an engine and run it once."""
        specs = self.gpu.call(self._load, plan, info, compiled)
        super().__init__(self.gpu, info, *specs)
        self.gpu.call(self._place)
        self.warm_up()

    def _key(self, model: Path, specs: tuple[TensorSpec, TensorSpec]) -> EngineKey:
        from importlib.metadata import version

        gpu = self.gpu
        return EngineKey(
            onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
            library=self._library.name,
            library_version=self._library.version,
            cuda_version=gpu.driver_version,
            driver_version=driver_version(),
            gpu=gpu.name,
            compute_capability=gpu.compute_capability,
            shapes={spec.name: spec.shape for spec in specs},
            options={**OPTIONS, "seg_stream": version("seg-stream")},
        )

    def _load(self, plan: bytes, info: ModelInfo, compiled: bytes) -> tuple[TensorSpec, TensorSpec]:
        library = self._library
        self._runtime = library.check(library.trt.Runtime(library.log), "start")
        native = self._runtime.deserialize_cuda_engine(plan)
        self._native = native = library.check(native, "load the engine")
        self._context, self._runtime_cache = _make_context(library, native, compiled)
        return _read_specs(library, native, info)

    def _place(self) -> None:
        for spec, memory in ((self.input, self.input_memory), (self.output, self.output_memory)):
            placed = self._context.set_tensor_address(spec.name, memory.address)
            self._library.check(placed, f"use memory for {spec.name}")

    def unload(self) -> None:
        """See `DeviceEngine.unload`: the context uses the engine, which uses the runtime."""
        self._context = self._runtime_cache = None
        self._native = None
        self._runtime = None


_TITLES = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}


def driver_version() -> str:
    """What the NVIDIA driver says of itself; empty where it says nothing."""
    try:
        return Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except (OSError, IndexError):
        return ""


def _make_context(library: Library, native: Any, compiled: bytes) -> tuple[Any, Any]:
    """The execution context and, of TensorRT-RTX, the cache of what it compiles for this GPU."""
    config = library.check(native.create_runtime_config(), "make a runtime configuration")
    cache = None
    if hasattr(config, "create_runtime_cache"):
        cache = library.check(config.create_runtime_cache(), "make a runtime cache")
        if compiled:
            cache.deserialize(compiled)  # False if it is for another GPU: it compiles again
        library.check(config.set_runtime_cache(cache), "use a runtime cache")
    context = library.check(native.create_execution_context(config), "make an execution context")
    return context, cache


def _read_specs(library: Library, native: Any, info: ModelInfo) -> tuple[TensorSpec, TensorSpec]:
    """The engine's input and its first output.

    Raises:
        UserError: they are not those of a portrait model.
    """
    trt = library.trt
    found: dict[Any, list[TensorSpec]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
    for index in range(native.num_io_tensors):
        name = native.get_tensor_name(index)
        shape = tuple(native.get_tensor_shape(name))
        mode = native.get_tensor_mode(name)
        if native.get_tensor_dtype(name) != trt.float32 or len(shape) != 4 or min(shape) < 1:
            raise UserError(
                f"The engine's tensor '{name}' is {native.get_tensor_dtype(name)} {shape}; "
                "expected float32 of a fixed shape (1, channels, H, W); build it with seg-export."
            )
        reads = mode == trt.TensorIOMode.INPUT
        layout = info.input_layout if reads else info.output_layout
        meaning = "pixels" if reads else "probability 0..1"
        found[mode].append(TensorSpec(name, shape, "float32", layout, meaning))
    inputs, outputs = found.values()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].channels != 3:
        raise UserError(
            f"The engine has {len(inputs)} inputs and {len(outputs)} outputs; expected one picture "
            "and one map; build it with seg-export."
        )
    if info.output_channel >= outputs[0].channels:
        raise UserError(
            f"The engine has {outputs[0].channels} output channels, but its description names "
            f"channel {info.output_channel}; correct the description."
        )
    return inputs[0], outputs[0]

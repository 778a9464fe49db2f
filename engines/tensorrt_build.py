"""Builds an engine from an FP16 ONNX graph: one way for TensorRT and TensorRT-RTX.

Both have the same interface, and only strongly typed networks: each layer is computed in the types
of the graph. TensorRT measures kernels on the GPU that is there; TensorRT-RTX needs none, as its
engines are compiled on the user's GPU when they are loaded.
"""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from seg_stream.engines.installed import LIBRARIES, PACKAGES
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError

OPTIONS = {"typing": "strong", "profiling": "detailed"}
"""What the builder is told, for the cache's key."""

FIRST_PHASE = "Comparing FP16 with FP32"
"""What comes before the library begins."""

Progress = Callable[[str, float], None]
"""Called with the name of the phase and the share of it that is done, 0..1, from any thread."""


@dataclass(frozen=True)
class Library:
    """An installed TensorRT: its module, and a logger that remembers what it complained of."""

    name: str
    """`tensorrt` or `tensorrt-rtx`."""
    trt: Any
    log: Any

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    def complaint(self) -> str:
        """What the library last complained of, in one line."""
        return self.log.lines[-1] if self.log.lines else "it gives no reason"

    def check(self, result: Any, what: str) -> Any:
        """Return what a call returned, unless it is None or False.

        Raises:
            SegStreamError: the call failed; says what the library complained of.
        """
        if result is None or result is False:
            raise SegStreamError(f"{self.name} could not {what}: {self.complaint()}.")
        return result


@dataclass(frozen=True)
class Built:
    """An engine's bytes, and what was learned about kernels, for the next build."""

    plan: bytes
    timing: bytes


class BuildStopped(Stopped):
    """A build was stopped; `timing` is what it had learned about kernels until then."""

    def __init__(self, timing: bytes) -> None:
        super().__init__("The engine's build was stopped; nothing was written.")
        self.timing = timing


def open_library(name: str) -> Library:
    """Import TensorRT or TensorRT-RTX.

    Raises:
        UserError: it is not installed, or does not work.
    """
    try:
        trt: Any = import_module(LIBRARIES[name])
        return Library(name, trt, _logger(trt))
    except ImportError as error:
        missing = getattr(error, "name", None) == LIBRARIES[name]
        reason = "is not installed" if missing else f"cannot be imported ({_line(error)})"
        raise UserError(
            f"The package {LIBRARIES[name]} {reason}; run pip install '{PACKAGES[name]}'."
        ) from error
    except Exception as error:  # whatever a broken installation raises
        raise UserError(
            f"The package {LIBRARIES[name]} does not work ({_line(error)}); reinstall it with "
            f"pip install --force-reinstall '{PACKAGES[name]}'."
        ) from error


def open_builder_library(name: str | None = None) -> Library:
    """The library of that name, or else the first one that can build here.

    Raises:
        UserError: says for each library why it cannot.
    """
    reasons = []
    for each in [name] if name else LIBRARIES:
        try:
            library = open_library(each)
            _builder(library)
            return library
        except SegStreamError as error:
            reasons.append(str(error).rstrip("."))
    raise UserError(f"No engine can be built here: {'; '.join(reasons)}.")


def gpu_name() -> str:
    """The first GPU, on which TensorRT builds; empty where that cannot be found out."""
    try:
        result = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()


def build(
    library: Library,
    onnx_model: bytes,
    *,
    timing: bytes = b"",
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    call: Callable[[Callable[[], Any]], Any] = lambda work: work(),
) -> Built:
    """Build an engine; takes a second with TensorRT-RTX, minutes with TensorRT.

    Args:
        library: what builds it.
        onnx_model: a graph of fixed shapes, with FP16 inside it where that is wanted.
        timing: what an earlier build of this library learned.
        progress: told how far it is.
        stop: set it to end early.
        call: runs the build where the GPU is that it is for, such as `Gpu.call`; without it, the
            first GPU is meant.

    Raises:
        UserError: the library does not take the model.
        BuildStopped: it was stopped.
        SegStreamError: the build failed.
    """
    ended = stop or threading.Event()
    work = partial(_build, library, onnx_model, timing, progress, ended)
    built: Built = _run_beside(lambda: call(work), ended)
    if not built.plan:
        raise BuildStopped(built.timing)
    return built


def _build(
    library: Library,
    onnx_model: bytes,
    timing: bytes,
    progress: Progress | None,
    stop: threading.Event,
) -> Built:
    """The engine; without a plan if it was stopped."""
    trt = library.trt
    builder = _builder(library)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = library.check(builder.create_network(typed), "make a network")
    parser = trt.OnnxParser(network, library.log)
    if not parser.parse(onnx_model):
        faults = [str(parser.get_error(index).desc()) for index in range(parser.num_errors)]
        raise UserError(
            f"{library.name} {library.version} does not take the model ({_line('; '.join(faults))})"
            "; export it again with seg-export."
        )
    config = library.check(builder.create_builder_config(), "make a configuration")
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = _monitor(trt, progress, stop)
    known = config.create_timing_cache(timing)  # of TensorRT-RTX it holds nothing
    if known is not None and not config.set_timing_cache(known, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    learned = config.get_timing_cache()
    timing = b"" if learned is None else bytes(learned.serialize())
    if plan is None and stop.is_set():
        return Built(b"", timing)
    return Built(bytes(library.check(plan, "build the engine")), timing)


def _builder(library: Library) -> Any:
    try:
        return library.check(library.trt.Builder(library.log), "start its builder")
    except (TypeError, RuntimeError) as error:  # how pybind11 reports a null pointer
        raise SegStreamError(
            f"{library.name} could not start its builder: {library.complaint()}."
        ) from error


def _run_beside(work: Callable[[], Any], stop: threading.Event) -> Any:
    """Run in another thread, so that Ctrl-C comes to this one and not into the library's code.

    That thread does nothing any more when this returns or raises.
    """
    outcome: list[Any] = []
    failure: list[BaseException] = []
    done, given_up = threading.Event(), threading.Event()

    def run() -> None:
        try:
            if not given_up.is_set():
                outcome.append(work())
        except BaseException as error:  # handed on below
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="build")
    try:
        thread.start()  # an interrupt may come in here, before or after the thread runs
        done.wait()  # not `join`, which an interrupt breaks in Python 3.11
    except BaseException:
        given_up.set()
        stop.set()
        if thread.is_alive():  # else it finds that it was given up
            done.wait()
        raise
    finally:
        if thread.is_alive():
            thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _logger(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]  # the module is only known when it runs
        """Keeps warnings and errors, and prints nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.lines: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.lines.append(_line(message))

    return Log()


def _monitor(trt: Any, progress: Progress | None, stop: threading.Event) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Passes progress on, and tells the builder when to end; called from several threads."""

        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._steps[name] = max(steps, 1)
            self._tell(name, 0.0)

        def step_complete(self, name: str, step: int) -> bool:
            self._tell(name, min(1.0, (step + 1) / self._steps.get(name, 1)))
            return not stop.is_set()

        def phase_finish(self, name: str) -> None:
            self._tell(name, 1.0)

        def _tell(self, name: str, share: float) -> None:
            if progress and not stop.is_set():
                progress(name, share)

    return Monitor()


def _line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")[:300]

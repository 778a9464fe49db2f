"""One NVIDIA GPU: its memory, streams, events and kernels, through pycuda and nowhere else.

The GPU has a thread of its own. CUDA's primary context, the one that TensorRT and ONNX Runtime use
too, is retained and pushed there once, and popped there when everything is freed. `Gpu.call` runs
a function in that thread; the methods marked so may only be used inside one. A second thread does
nothing but wait, so that the first goes on meanwhile.
"""

from __future__ import annotations

import ctypes
import re
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from traceback import clear_frames
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seg_stream.engines.kernels import ptx
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import SegStreamError, UserError

Result = TypeVar("Result")
Held = TypeVar("Held", "Memory", "Pinned", "Event", "Stream")
Size = tuple[int, int, int]

OLDEST_DRIVER = 13000
"""The CUDA version that the kernels' PTX wants of the driver; it came with driver 580."""

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream


class Memory:
    """Memory of the GPU: `size` bytes from `address` on, freed with the GPU or by `free`."""

    def __init__(self, allocation: Any, size: int) -> None:
        self._allocation = allocation
        self.address = int(allocation)
        self.size = size

    def free(self) -> None:
        """Give it back; in the GPU's thread. Twice is allowed."""
        allocation, self._allocation = self._allocation, None
        if allocation is not None:
            allocation.free()


class Pinned:
    """Memory of the host that the GPU reaches by itself; fill `array` in place."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    def free(self) -> None:
        """Give it back; in the GPU's thread. Twice is allowed."""
        array, self.array = self.array, np.empty(0, np.uint8)
        if array.base is not None:
            allocation: Any = array.base
            allocation.free()


class Event:
    """A point in a stream's work; see `Gpu.wait`."""

    def __init__(self, event: Any) -> None:
        self.native = event

    def record(self, stream: Stream) -> None:
        """Be reached when what the stream has to do now is done; in the GPU's thread."""
        self.native.record(stream.native)

    def ms_since(self, start: Event) -> float:
        """Milliseconds between two events that were made with `timing` and are reached."""
        return float(self.native.time_since(start.native))

    def free(self) -> None:
        """Give it back; in the GPU's thread."""
        self.native = None  # pycuda's has no other way


class Stream:
    """Work that the GPU does in order; `handle` is CUDA's, for TensorRT and ONNX Runtime."""

    def __init__(self, stream: Any) -> None:
        self.native = stream
        self.handle = int(stream.handle)

    def wait_for(self, event: Event) -> None:
        """Do what comes next only after the event; in the GPU's thread."""
        self.native.wait_for_event(event.native)

    def free(self) -> None:
        """Give it back; in the GPU's thread."""
        self.native = None  # pycuda's has no other way


class Gpu(Closable):
    """An NVIDIA GPU with its own thread; use it as a context manager.

    Args:
        index: which GPU, as `nvidia-smi` counts them.

    Raises:
        UserError: pycuda is not installed, or there is no such GPU.
        SegStreamError: the GPU cannot be used.
    """

    name: str
    compute_capability: tuple[int, int]
    total_bytes: int
    driver_version: int
    """The newest CUDA that the driver knows: 13000 is 13.0."""

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self._driver = _import_driver()
        self._held: list[Memory | Pinned | Event | Stream] = []
        self._functions: dict[str, Any] = {}
        self._closed = False
        self._thread: threading.Thread | None = None
        self._worker = ThreadPoolExecutor(1, f"gpu-{index}")
        self._waiter = ThreadPoolExecutor(1, f"gpu-{index}-wait")
        try:
            self._worker.submit(self._open).result()
            self._waiting = self._waiter.submit(self._push).result()
        except BaseException as error:
            self._worker.shutdown()
            self._waiter.shutdown()
            if isinstance(error, self._driver.Error):
                raise SegStreamError(f"GPU {index} cannot be used: {_text(error)}.") from error
            raise

    def _open(self) -> None:
        driver = self._driver
        self._thread = threading.current_thread()
        try:
            driver.init()
            count = int(driver.Device.count())
        except driver.Error as error:
            raise UserError(
                f"There is no NVIDIA GPU that can be used here ({_text(error)}); "
                "check with nvidia-smi, or choose another --engine."
            ) from error
        if not 0 <= self.index < count:
            raise UserError(
                f"There is no GPU {self.index}; expected 0 to {count - 1}; see nvidia-smi."
                if count
                else "There is no NVIDIA GPU here; choose another --engine."
            )
        self._device = driver.Device(self.index)
        self.name = str(self._device.name())
        self.compute_capability = tuple(self._device.compute_capability())
        self.total_bytes = int(self._device.total_memory())
        self.driver_version = int(driver.get_driver_version())
        self._context = self._push()

    def _push(self) -> Any:
        """Make the primary context this thread's own, for as long as the thread lives."""
        context = self._device.retain_primary_context()
        context.push()
        return context

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function in the GPU's thread and return what it returns; from any thread.

        Raises:
            SegStreamError: the GPU failed or is closed; other errors come as they are.
        """
        if threading.current_thread() is self._thread:
            return function(*arguments)
        return self._ask(self._worker, function, *arguments)

    def _ask(
        self, thread: ThreadPoolExecutor, function: Callable[..., Result], *arguments: Any
    ) -> Result:
        if self._closed:
            raise SegStreamError("The GPU is closed; open it again.")
        try:
            return thread.submit(function, *arguments).result()
        except BaseException as error:
            clear_frames(error.__traceback__)  # else what they hold outlives the GPU
            if isinstance(error, self._driver.Error):
                raise SegStreamError(f"The GPU ({self.name}) failed: {_text(error)}.") from error
            raise

    def memory(self, size: int) -> Memory:
        """Allocate bytes on the GPU; in its thread."""
        self._check_thread()
        return self._hold(Memory(self._driver.mem_alloc(max(size, 1)), size))

    def pinned(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> Pinned:
        """Allocate an array that the GPU copies from and to by itself; in its thread."""
        self._check_thread()
        return self._hold(Pinned(self._driver.pagelocked_empty(shape, dtype)))

    def stream(self) -> Stream:
        """Make a stream beside the default one; in the GPU's thread."""
        self._check_thread()
        return self._hold(Stream(self._driver.Stream(_NON_BLOCKING)))

    def event(self, timing: bool = False) -> Event:
        """Make an event, on which `wait` sleeps instead of spinning; in the GPU's thread."""
        self._check_thread()
        flags = self._driver.event_flags
        untimed = 0 if timing else flags.DISABLE_TIMING
        return self._hold(Event(self._driver.Event(flags.BLOCKING_SYNC | untimed)))

    def upload(self, memory: Memory, source: Pinned, stream: Stream, offset: int = 0) -> None:
        """Begin to copy a whole array to the GPU, `offset` bytes in; in its thread.

        The array must stay as it is until an event recorded afterwards is reached.
        """
        self._check_copy(memory, source.array.nbytes, offset)
        self._driver.memcpy_htod_async(memory.address + offset, source.array, stream.native)

    def download(self, target: Pinned, memory: Memory, stream: Stream, offset: int = 0) -> None:
        """Begin to fill an array from the GPU, from `offset` bytes on; in its thread."""
        self._check_copy(memory, target.array.nbytes, offset)
        self._driver.memcpy_dtoh_async(target.array, memory.address + offset, stream.native)

    def clear(self, address: int, size: int, stream: Stream) -> None:
        """Begin to set bytes of the GPU's memory to zero; in its thread."""
        self._check_thread()
        self._driver.memset_d8_async(address, 0, size, stream.native)

    def launch(
        self, kernel: str, arguments: ctypes.Structure, grid: Size, block: Size, stream: Stream
    ) -> None:
        """Begin a kernel of `engines/kernels`, by `file.function`; in the GPU's thread.

        Raises:
            SegStreamError: the driver is too old for it.
        """
        self._check_thread()
        packed = bytes(arguments)
        function = self._functions.get(kernel)
        if function is None:
            function = self._function(kernel).prepare([f"{len(packed)}s"])
            self._functions[kernel] = function
        function.prepared_async_call(grid, block, stream.native, packed)

    def wait(self, event: Event) -> None:
        """Sleep until an event is reached; from any thread, while the GPU's goes on."""
        if threading.current_thread() is self._thread:
            event.native.synchronize()
        else:
            self._ask(self._waiter, event.native.synchronize)

    def free_bytes(self) -> int:
        """Memory of the GPU that nobody uses; in its thread."""
        self._check_thread()
        free, _ = self._driver.mem_get_info()
        return int(free)

    def release(self, *held: Memory | Pinned | Event | Stream) -> None:
        """Free some things before the GPU is closed; in its thread."""
        self._check_thread()
        for each in held:
            self._held.remove(each)
            each.free()

    def close(self) -> None:
        """Wait for the GPU, free everything that it holds, and end its thread."""
        if self._closed:
            return
        self._closed = True
        try:
            self._waiter.submit(self._pop, self._waiting).result()
            self._worker.submit(self._free).result()
        finally:
            self._waiter.shutdown()
            self._worker.shutdown()

    def _pop(self, context: Any) -> None:
        self._driver.Context.pop()
        # pycuda pushes a primary context to release it and leaves it there, for which a thread that
        # goes on would pay; this one ends.
        context.detach()

    def _free(self) -> None:
        error = self._driver.Error
        with suppress(error):  # after a failed kernel every call fails, and all must be tried
            self._driver.Context.synchronize()
        for each in reversed(self._held):
            with suppress(error):
                each.free()
        self._held.clear()
        self._functions.clear()
        self._pop(self._context)

    def _function(self, kernel: str) -> Any:
        if self.driver_version < OLDEST_DRIVER:
            raise SegStreamError(
                f"The driver of {self.name} knows CUDA {_dotted(self.driver_version)}, expected "
                f"{_dotted(OLDEST_DRIVER)} or newer; install driver 580 or newer."
            )
        file, _, name = kernel.partition(".")
        module = self._functions.get(file)
        if module is None:
            module = self._functions[file] = self._driver.module_from_buffer(ptx(file))
        return module.get_function(name)

    def _hold(self, each: Held) -> Held:
        self._held.append(each)
        return each

    def _check_thread(self) -> None:
        if threading.current_thread() is not self._thread:
            raise SegStreamError("This belongs to the GPU's thread; go through Gpu.call.")

    def _check_copy(self, memory: Memory, count: int, offset: int) -> None:
        self._check_thread()
        if not 0 <= offset <= offset + count <= memory.size:
            raise ValueError(f"{count} bytes at {offset} do not fit memory of {memory.size} bytes")


def _import_driver() -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # it says the same twice
            # Never pycuda.autoinit, which makes a context of its own.
            import pycuda.driver as driver
    except ImportError as error:  # also where there is no NVIDIA driver to link to
        # Reports keep the reason: it names files, not a user's folders.
        reason = re.sub(r"\S*[/\\]", "", _text(error))
        raise UserError(
            f"pycuda cannot be imported ({reason}); it needs an NVIDIA driver and "
            "pip install 'seg-stream[gpu]'; or choose another --engine."
        ) from error
    return driver


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")

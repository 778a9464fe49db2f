"""How busy an NVIDIA GPU is meanwhile, and how much of its memory is taken; through NVML."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from statistics import fmean
from threading import Event, Thread
from types import ModuleType, TracebackType
from typing import Any

EVERY_S = 0.2
"""NVML itself looks over the last sixth of a second to second, which depends on the GPU."""


@dataclass
class GpuLoad:
    """Watches the first GPU from `with` to its end, in a thread; all that runs there counts.

    Both figures stay None where there is no NVIDIA driver, no package nvidia-ml-py, or a GPU that
    does not say (a part of one, by MIG).
    """

    percent: float | None = None
    """Mean share of the time in which a kernel ran."""
    memory_mib: float | None = None
    """The most that was taken beyond what was at the beginning."""
    _used: list[int] = field(default_factory=list)
    _busy: list[int] = field(default_factory=list)
    _end: Event = field(default_factory=Event)
    _thread: Thread | None = None
    _nvml: Any = None

    def __enter__(self) -> GpuLoad:
        self._nvml = _open()
        if self._nvml is not None:
            self._thread = Thread(target=self._watch, args=(self._nvml,), name="gpu load")
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        self._end.set()
        self._thread.join()
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
        if self._busy:
            self.percent = fmean(self._busy)
            self.memory_mib = (max(self._used) - self._used[0]) / 2**20

    def _watch(self, nvml: Any) -> None:
        with suppress(nvml.NVMLError):
            gpu = nvml.nvmlDeviceGetHandleByIndex(0)
            self._used.append(nvml.nvmlDeviceGetMemoryInfo(gpu).used)
            while not self._end.wait(EVERY_S):
                self._used.append(nvml.nvmlDeviceGetMemoryInfo(gpu).used)
                self._busy.append(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)


def _open() -> ModuleType | None:
    """NVML, ready; None where it is not installed or finds no driver."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    found: ModuleType = pynvml
    return found

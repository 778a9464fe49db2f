"""A GPU's load beside a measurement: nothing without one, else the mean and the peak."""

from __future__ import annotations

import sys
import threading
from itertools import chain, repeat
from pathlib import Path
from time import sleep
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from seg_stream.benchmarks import gpu_load
from seg_stream.benchmarks.gpu_load import GpuLoad
from seg_stream.benchmarks.schema import Report, Sample
from seg_stream.benchmarks.tables import tables


def test_without_a_driver_the_real_library_gives_nothing_and_no_thread() -> None:
    pynvml = pytest.importorskip("pynvml", reason="needs the bench extra (nvidia-ml-py)")
    try:
        pynvml.nvmlInit()
        pytest.skip("there is an NVIDIA driver here")
    except pynvml.NVMLError:
        pass
    with GpuLoad() as load:
        assert "gpu load" not in {thread.name for thread in threading.enumerate()}
    assert (load.percent, load.memory_mib) == (None, None)


def test_without_the_library_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with GpuLoad() as load:
        pass
    assert (load.percent, load.memory_mib) == (None, None)


class StandIn(ModuleType):
    """A GPU that is asked three times, and then, if it is `dumb`, answers no more."""

    class NVMLError(Exception):
        pass

    def __init__(self, dumb: bool = False) -> None:
        super().__init__("pynvml")
        self._used = chain([100 << 20, 400 << 20, 900 << 20], repeat(300 << 20))
        self._busy = iter([20, 60] if dumb else chain([20, 60], repeat(40)))
        self.asked = threading.Event()
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, _: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=next(self._used))

    def nvmlDeviceGetUtilizationRates(self, _: int) -> Any:  # noqa: N802
        gpu = next(self._busy, None)
        if gpu is None:
            self.asked.set()
            raise self.NVMLError
        if gpu == 40:
            self.asked.set()
        return SimpleNamespace(gpu=gpu)


@pytest.mark.parametrize("dumb", [False, True])
def test_the_mean_load_and_the_most_memory_are_kept(
    dumb: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = StandIn(dumb)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(gpu_load, "EVERY_S", 0.001)
    with GpuLoad() as load:
        assert nvml.asked.wait(20)
        sleep(0.01)
    assert load.percent == pytest.approx(40)
    assert load.memory_mib == 800
    assert nvml.open == 0
    assert "gpu load" not in {thread.name for thread in threading.enumerate()}


def test_a_part_of_a_gpu_that_does_not_say_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = StandIn()
    nvml._busy = iter(())
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(gpu_load, "EVERY_S", 0.001)
    with GpuLoad() as load:
        assert nvml.asked.wait(20)
    assert (load.percent, load.memory_mib) == (None, None)


def test_the_tables_have_columns_for_a_gpu_only_where_one_was_watched() -> None:
    kept = sorted((Path(__file__).parents[2] / "benchmarks" / "reports").glob("*.json"))
    report = Report.model_validate_json(kept[0].read_text())
    heads = [table.head for table in tables(report)]
    assert not any("GPU %" in head for head in heads)
    busy = {"gpu": Sample.of("%", [37.0]), "gpu_memory": Sample.of("MiB", [512.0])}
    changed = report.model_copy(
        update={
            "conversions": [each.model_copy(update=busy) for each in report.conversions],
            "sessions": [each.model_copy(update=busy) for each in report.sessions],
        }
    )
    found = [table for table in tables(changed) if "GPU %" in table.head]
    assert len(found) == 2
    for table in found:
        at = table.head.index("GPU %")
        assert {(row[at], row[at + 1]) for row in table.rows} == {("37 ± 0%", "512 ± 0%")}
        assert all(len(row) == len(table.head) for row in table.rows)

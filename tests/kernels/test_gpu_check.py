"""`make gpu-check` where there is no GPU, and, with the kernels as C++, where one is stood in for.

What it measures here means nothing; that it goes through everything and says what did not run does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Event
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from host_gpu import HostEngine, HostGpu
from rich.console import Console

from seg_stream.benchmarks import gpu_check, gpu_engines, gpu_pipeline
from seg_stream.benchmarks.gpu_report import GpuReport, tables
from seg_stream.benchmarks.schema import Distribution
from seg_stream.engines.contract import Engine
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.engines.select import EngineChoice
from seg_stream.engines.switching import SwitchingEngine
from seg_stream.pipeline.errors import Stopped, UserError

pytest.importorskip("onnx", reason="needs the export extra (onnx)")
pytest.importorskip("skimage", reason="needs scikit-image for its photographs")


def test_without_a_gpu_it_says_so_in_one_sentence_and_exits_1(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['pycuda'] = None\n"
         "from seg_stream.benchmarks.gpu_check import main; main()"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("gpu-check needs an NVIDIA GPU: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


class TimedEvent:
    def __init__(self) -> None:
        self._at_s = 0.0

    def record(self, _: Any) -> None:
        self._at_s = perf_counter()

    def ms_since(self, start: TimedEvent) -> float:
        return max(1e-3, 1000 * (self._at_s - start._at_s))


class StoodInGpu(HostGpu):
    name, compute_capability, driver_version = "NVIDIA Stand-in 1", (8, 9), 13000
    total_bytes = 8 << 30

    def __init__(self, twins: Any, _: int = 0) -> None:
        super().__init__(twins)
        self._driver = SimpleNamespace(memcpy_dtod_async=lambda *_: None)

    def event(self, timing: bool = False) -> Any:
        return self._hold(TimedEvent())

    def free_bytes(self) -> int:
        return 1 << 30

    def __enter__(self) -> StoodInGpu:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def report() -> GpuReport:
    return GpuReport(
        gpu="NVIDIA Stand-in 1", compute_capability="8.9", memory_gib=8, cuda="13.0", driver="",
        versions={},
    )  # fmt: skip


def test_it_goes_through_everything_and_names_what_refused(
    report: GpuReport, gpu: HostGpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_gpu = partial(StoodInGpu, gpu._twins)

    def open_engine(choice: EngineChoice | str, model: Any, **_: Any) -> Engine:
        if isinstance(choice, str):
            return OnnxRuntimeEngine(gpu_check.find_model(model))
        assert choice.require_gpu
        if choice.name != "cuda":
            raise UserError(f"The package {choice.name} is not installed; install it.")
        return HostEngine(make_gpu(), gpu_check.find_model(model))

    def write(path: Path, width: int, _: int) -> None:
        if width == 64:
            raise UserError("Exporting needs the package tensorflow.")
        path.write_bytes(gpu_check.find_model("portrait-lite").read_bytes())

    for module in (gpu_check, gpu_engines):
        monkeypatch.setattr(module, "Gpu", make_gpu)
    monkeypatch.setattr(gpu_check, "open_engine", open_engine)
    monkeypatch.setattr("seg_stream.pipeline.effect.open_engine", open_engine)
    monkeypatch.setattr(gpu_check, "SHIPPED", ("portrait-lite",))
    monkeypatch.setattr(gpu_check, "ARTICLE", {"unet-16": (16, 256), "unet-64": (64, 512)})
    monkeypatch.setattr(gpu_engines, "write_article", write)
    small = partial(gpu_engines.write_products, side=8, layers=2)
    monkeypatch.setattr(gpu_engines, "write_products", small)
    monkeypatch.setattr(gpu_pipeline, "SIZES", ((160, 90),))
    monkeypatch.setattr(gpu_pipeline, "LAUNCHES", 2)
    monkeypatch.setattr(gpu_pipeline, "copy_rate", lambda _: 1e9)
    found = gpu_check.check(report, 0, 0.05, 20, Console(quiet=True))

    assert [c.seen for c in found.checks if not c.passed] == []
    assert len(found.checks) == 4
    assert {k.kernel for k in found.kernels} == {"prepare", "draw the alpha", "composite"}
    alone, article = found.engines
    assert (article.engine, article.model) == ("cuda", "unet-16")
    assert (alone.engine, alone.model, alone.size) == ("cuda", "portrait-lite", "256x128")
    assert alone.max_abs_error < 1e-5
    assert alone.gflop > 0.1
    assert [pipeline.model for pipeline in found.pipelines] == ["portrait-lite"] * 2 + [
        "unet-16"
    ] * 2
    assert found.leak is not None
    assert found.leak.frames == 20
    assert set(found.refusals) == {
        "portrait-lite in tensorrt", "portrait-lite in tensorrt-rtx", "unet-64 from Keras",
        "unet-16 in tensorrt", "unet-16 in tensorrt-rtx",
        "matrix products in tensorrt", "matrix products in tensorrt-rtx",
    }  # fmt: skip
    assert "not installed" in found.refusals["portrait-lite in tensorrt"]
    assert GpuReport.model_validate_json(found.model_dump_json()) == found
    json.loads(found.model_dump_json())
    console = Console(width=160, record=True, quiet=False, file=(tmp_path / "out").open("w"))
    for table in tables(found):
        console.print(table)
    text = console.export_text()
    assert "Not measured: unet-64 from Keras" in text
    assert "seg-stream[gpu]" in text  # the extra is no markup
    assert "portrait-lite 256x128" in text


def test_the_aims_are_judged_by_the_worst_figure(report: GpuReport) -> None:
    spread = Distribution(unit="ms", p50=1, p95=1.1, p99=1.4, max=3)
    pipeline = gpu_pipeline.PipelineFigures(
        engine="e", model="portrait", frame="1920x1080", background="blur", fps=900,
        frame_ms=spread, engine_share=0.95, around_share=0.05,
    )  # fmt: skip
    worse = pipeline.model_copy(update={"engine_share": 0.7, "background": "green"})
    aims = {aim.name: aim for aim in report.model_copy(update={"pipelines": [pipeline]}).aims}
    assert all(aim.passed for aim in aims.values())
    assert "p99 over p50 of a frame" in aims
    aims = {a.name: a for a in report.model_copy(update={"pipelines": [pipeline, worse]}).aims}
    assert not aims["1080p pipeline of its engine's rate"].passed
    assert report.slug == "nvidia-stand-in-1"


def test_bytes_that_come_back_wrong_are_found(gpu: HostGpu) -> None:
    class Forgetful(StoodInGpu):
        def download(self, target: Any, memory: Any, stream: Any, offset: int = 0) -> None:
            super().download(target, memory, stream, offset)
            target.array.flat[7] ^= 1

    good = gpu_engines.check_contexts(lambda: StoodInGpu(gpu._twins))
    assert all(check.passed for check in good)
    bad = gpu_engines.check_contexts(lambda: Forgetful(gpu._twins))
    assert not any(check.passed for check in bad)
    assert "other bytes" in bad[0].seen


def test_masks_and_kernels_that_differ_are_found(gpu: HostGpu) -> None:
    class Dark(StoodInGpu):
        def download(self, target: Any, memory: Any, stream: Any, offset: int = 0) -> None:
            super().download(target, memory, stream, offset)
            target.array[:2000] = np.minimum(target.array[:2000], 200) // 2

    size = (320, 180)
    assert gpu_pipeline.compare_kernels(lambda: StoodInGpu(gpu._twins), size, "blur", 2).passed
    assert not gpu_pipeline.compare_kernels(lambda: Dark(gpu._twins), size, "blur", 2).passed


def test_only_an_engine_that_is_there_is_measured(
    gpu: HostGpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that still runs on the CPU would give the CPU's figures."""
    path = tmp_path / "products.onnx"
    gpu_engines.write_products(path, side=8, layers=1)
    first = HostEngine(StoodInGpu(gpu._twins), path)

    def later(stop: Event) -> Engine:
        stop.wait(30)
        raise Stopped("stopped")

    never = SwitchingEngine(first, later, "tensorrt")
    monkeypatch.setattr(gpu_check, "open_engine", lambda *_, **__: never)
    with pytest.raises(Exception, match="does not keep its tensors"):
        gpu_check._opener("cuda", path, 0, tmp_path, gate=True)()

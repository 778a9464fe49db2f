"""`make gpu-check`: everything about the GPU that no machine without one can show.

It runs with whichever of tensorrt, tensorrt-rtx and onnxruntime-gpu are installed; what cannot run
is in the report with its reason. JSON and a short table; exit code 1 without a GPU, and where
something did not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from rich.console import Console

from seg_stream.benchmarks import gpu_engines, gpu_pipeline
from seg_stream.benchmarks.gpu_report import GpuReport, tables
from seg_stream.engines.contract import Engine
from seg_stream.engines.cuda import Gpu
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.models import find_model
from seg_stream.engines.select import ON_GPU, TENSORRT, EngineChoice, open_engine
from seg_stream.engines.tensorrt_engine import driver_version
from seg_stream.pipeline.errors import SegStreamError

PACKAGES = ("tensorrt", "tensorrt-rtx", "onnxruntime-gpu", "onnxruntime", "pycuda", "numpy")
SHIPPED = ("portrait-lite", "portrait")
ARTICLE = {"unet-16": (16, 256), "unet-64": (64, 512)}
"""Width and side of the article's U-Net."""

BACKGROUNDS = ("blur", "#00b140")

Result = TypeVar("Result")


def main() -> None:
    """Run `python -m seg_stream.benchmarks.gpu_check`."""
    options = _options()
    console = Console(stderr=True)
    try:
        with Gpu(options.gpu) as gpu:
            report = GpuReport(
                gpu=gpu.name,
                compute_capability=".".join(map(str, gpu.compute_capability)),
                memory_gib=round(gpu.total_bytes / 2**30, 1),
                cuda=f"{gpu.driver_version // 1000}.{gpu.driver_version % 1000 // 10}",
                driver=driver_version(),
                versions=_versions(),
            )
    except SegStreamError as error:
        console.print(f"gpu-check needs an NVIDIA GPU: {error}", soft_wrap=True, markup=False)
        sys.exit(1)
    report = check(report, options.gpu, options.seconds, options.frames, console)
    output = options.output or Path(f"{report.slug}.json")
    output.write_text(report.model_dump_json(indent=2) + "\n")
    for table in tables(report):
        Console().print(table)
    console.print(f"The report is {output}.", markup=False)
    failed = [each for each in report.checks if not each.passed]
    sys.exit(1 if failed or not report.engines or (report.leak and not report.leak.passed) else 0)


def check(
    report: GpuReport, index: int, seconds: float, frames: int, console: Console
) -> GpuReport:
    """Go through everything; what fails becomes a refusal, and the rest goes on."""
    found = report.model_copy(deep=True)

    def attempt(name: str, work: Callable[[], Result]) -> Result | None:
        console.print(name, markup=False)
        try:
            return work()
        except Exception as error:  # the next figures do not depend on this one
            found.refusals[name] = " ".join(str(error).split())[:300] or type(error).__name__
            return None

    open_gpu = partial(Gpu, index)
    found.checks.extend(attempt("contexts", lambda: gpu_engines.check_contexts(open_gpu)) or [])
    copy_bytes = attempt("copy rate", lambda: _with_gpu(index, gpu_pipeline.copy_rate))
    for size in gpu_pipeline.SIZES:
        words = f"{size[0]}x{size[1]}"
        for background in BACKGROUNDS:
            compared = attempt(
                f"kernels as the CPU at {words}, {background}",
                partial(gpu_pipeline.compare_kernels, open_gpu, size, background),
            )
            found.checks.extend([compared] if compared else [])
        if copy_bytes:
            measure = partial(gpu_pipeline.measure_kernels, size=size, copy_bytes=copy_bytes)
            timed = attempt(f"kernels at {words}", partial(_with_gpu, index, measure))
            found.kernels.extend(timed or [])
    with TemporaryDirectory(prefix="gpu-check-") as folder:
        models = {name: find_model(name) for name in SHIPPED}
        for name, (width, side) in ARTICLE.items():
            path = Path(folder) / f"{name}.onnx"
            write = partial(gpu_engines.write_article, path, width, side)
            attempt(f"{name} from Keras", write)
            if path.exists():
                models[name] = path
        matrix_flops = _matrix_rate(attempt, index, Path(folder), seconds)
        for engine in ON_GPU:
            for name, model in models.items():
                opened = _opener(engine, model, index, Path(folder), gate=name in SHIPPED)
                figures = attempt(
                    f"{name} in {engine}",
                    partial(
                        gpu_engines.measure_engine,
                        opened, engine, name, model, matrix_flops, copy_bytes, seconds,
                    ),
                )  # fmt: skip
                found.engines.extend([figures] if figures else [])
        for figures in found.engines:
            engine, name = figures.engine, figures.model
            choice = EngineChoice(engine, index, require_gpu=True)
            source = _engine_source(engine, models[name], index, Path(folder), gate=name in SHIPPED)
            for size in gpu_pipeline.SIZES:
                for background in BACKGROUNDS:
                    whole = attempt(
                        f"{name} in {engine} at {size[0]}x{size[1]}, {background}",
                        partial(
                            gpu_pipeline.measure_pipeline, choice, source, name, size, background,
                            figures.device_ms, max(10, frames // 10),
                        ),
                    )  # fmt: skip
                    found.pipelines.extend([whole] if whole else [])
    leak = None
    if shipped := [e.engine for e in found.engines if e.model in SHIPPED]:
        best = EngineChoice(shipped[0], index, require_gpu=True)
        leak = attempt(
            f"{frames} frames",
            lambda: gpu_pipeline.find_leak(best, SHIPPED[0], frames, _free_bytes),
        )
    return found.model_copy(
        update={
            "leak": leak,
            "matrix_tflops": matrix_flops / 1e12 if matrix_flops else None,
            "copy_gbs": copy_bytes / 1e9 if copy_bytes else None,
        }
    )


def _with_gpu(index: int, work: Callable[[Gpu], Result]) -> Result:
    with Gpu(index) as gpu:
        return work(gpu)


def _matrix_rate(
    attempt: Callable[[str, Callable[[], Any]], Any], index: int, folder: Path, seconds: float
) -> float | None:
    """Operations a second of the first engine that multiplies matrices."""
    path = folder / "products.onnx"
    flop = attempt("matrix products", lambda: gpu_engines.write_products(path))
    if not flop:
        return None
    for engine in ON_GPU:

        def measure(engine: str = engine) -> float:
            with _opener(engine, path, index, folder, gate=False)() as opened:
                return float(1000 * flop / gpu_engines.device_ms(opened, seconds))

        if rate := attempt(f"matrix products in {engine}", measure):
            return float(rate)
    return None


def _opener(
    engine: str, model: Path, index: int, folder: Path, *, gate: bool
) -> Callable[[], DeviceEngine]:
    """What opens a model in an engine; without the gate for networks whose masks mean nothing."""

    def opened() -> DeviceEngine:
        path = _engine_source(engine, model, index, folder, gate=gate)
        found = open_engine(EngineChoice(engine, index, require_gpu=True), path)
        if not isinstance(found, DeviceEngine):
            found.close()
            raise SegStreamError(f"{found.name} does not keep its tensors on the GPU.")
        return found

    return opened


def _engine_source(engine: str, model: Path, index: int, folder: Path, *, gate: bool) -> Path:
    """The file to open: the model or, for TensorRT without the gate, an engine made once."""
    if gate or engine not in TENSORRT:
        return model
    path = folder / f"{model.stem}.{engine}.engine"
    if not path.exists():
        gpu_engines.write_engine(engine, model, path, partial(Gpu, index))
    return path


def _free_bytes(engine: Engine) -> int:
    if isinstance(engine, DeviceEngine):
        return int(engine.gpu.call(engine.gpu.free_bytes))
    return 0


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu-check", description="Check and measure a GPU.")
    parser.add_argument("--gpu", type=int, default=0, help="number of the GPU")
    parser.add_argument("--output", type=Path, help="the JSON report; named after the GPU")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--frames", type=int, default=10_000, help="for the search for leaks")
    return parser.parse_args()


if __name__ == "__main__":
    main()

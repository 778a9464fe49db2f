"""From a trained Keras file or an ONNX file to an FP16 engine: all steps in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter
from typing import Any

from seg_stream.engines.engine_file import EngineReport, report_path
from seg_stream.engines.model_info import ModelInfo
from seg_stream.engines.models import find_model
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.engines.tensorrt_build import (
    FIRST_PHASE,
    Built,
    Library,
    Progress,
    build,
    gpu_name,
    open_builder_library,
)
from seg_stream.export.fp16_gate import Fp16Report, checked_fp16
from seg_stream.export.load import require_module
from seg_stream.export.onnx_export import (
    ExportReport,
    Settings,
    check_output,
    checked_onnx,
)
from seg_stream.export.photographs import read_photographs
from seg_stream.export.pooling import pool_in_place
from seg_stream.export.subpixel import spread_last
from seg_stream.pipeline.sinks.part_file import write_whole


@dataclass(frozen=True)
class EngineExport:
    """What was written, and what was found on the way."""

    report: EngineReport
    onnx: ExportReport | None
    """How the ONNX graph was shown to be right; None if an ONNX file was given."""


def export_engine(
    model: Path,
    output: Path,
    *,
    engine: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> EngineExport:
    """Turn a model into an FP16 engine, whose graph has given the FP32 masks on photographs.

    Existing files at `output` are replaced only by whole ones that have passed.

    Args:
        model: a `.keras` or `.onnx` file, or the name of a shipped model.
        output: where the engine goes, `.engine`; its report goes beside it.
        engine: `tensorrt` or `tensorrt-rtx`; the first one that can build here by default.
        settings: what a `.keras` file leaves open, and the photographs.
        progress: told how far the build is.
        stop: set it to end the build early.

    Raises:
        UserError: something about the model, the files or the options stands in the way.
        ParityError: a mask is not the same; nothing was written.
        Stopped: it was stopped; nothing was written.
    """
    check_output(output, ".engine")
    settings = settings or Settings()
    require_module("onnx")
    library = open_builder_library(engine)
    found: ExportReport | None = None
    with TemporaryDirectory(prefix="seg-export-") as folder:
        path = model
        if model.suffix == ".keras":
            path = Path(folder) / f"{model.stem}.onnx"
            content, found = checked_onnx(model, settings)
            path.write_bytes(content)
        path = find_model(path)
        with OnnxRuntimeEngine(path) as described:
            info = described.info
        start_s = perf_counter()
        built, fp16 = build_fp16(
            library, path, info, images=settings.images, progress=progress, stop=stop
        )
        report = EngineReport(
            info=info,
            engine=library.name,
            engine_version=library.version,
            engine_sha256=hashlib.sha256(built.plan).hexdigest(),
            engine_bytes=len(built.plan),
            onnx_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            seg_stream=version("seg-stream"),
            gpu=gpu_name() if library.name == "tensorrt" else "",
            build_s=round(perf_counter() - start_s, 3),
            photographs=fp16.agreement.photographs,
            iou=fp16.agreement.iou,
            max_abs_error=fp16.agreement.max_abs_error,
            fp16_layers=fp16.layers,
            fp32_layers=fp16.kept,
        )
    write_whole(output, built.plan)
    write_whole(report_path(output), report.model_dump_json(indent=2).encode() + b"\n")
    return EngineExport(report, found)


def build_fp16(
    library: Library,
    model: Path,
    info: ModelInfo,
    *,
    images: Path | None = None,
    timing: bytes = b"",
    progress: Progress | None = None,
    stop: Event | None = None,
    call: Callable[[Callable[[], Any]], Any] = lambda work: work(),
) -> tuple[Built, Fp16Report]:
    """Build an engine from an ONNX file in FP32, after its FP16 graph has passed the gate.

    See `build` for the arguments.

    Raises:
        UserError: a package is missing, or the model is not one that can be built.
        ParityError: the FP16 graph does not give the masks.
        Stopped: it was stopped.
    """
    require_module("onnx")
    import onnx

    graph = onnx.load(model)
    # What TensorRT makes of these steps could not be seen: it builds on a GPU only.
    ours = library.name == "tensorrt-rtx"
    if ours:
        spread_last(graph)
    shape = [side.dim_value for side in graph.graph.input[0].type.tensor_type.shape.dim]
    height, width = shape[2:] if info.input_layout == "NCHW" else shape[1:3]
    if progress:
        progress(FIRST_PHASE, 0.0)
    half, report = checked_fp16(graph, info, read_photographs(images, height, width))
    if ours:
        pool_in_place(half)
    content = half.SerializeToString()
    built = build(library, content, timing=timing, progress=progress, stop=stop, call=call)
    return built, report

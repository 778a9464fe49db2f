"""Engines on a GPU, measured: what they give, how long they take, and what is the least."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from seg_stream.benchmarks.clock import time_calls
from seg_stream.benchmarks.gpu_report import Check, EngineFigures
from seg_stream.benchmarks.operations import count_operations
from seg_stream.benchmarks.schema import Distribution
from seg_stream.engines.cuda import Gpu
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.model_info import METADATA_KEY, ModelInfo
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.export.fp16_gate import as_input, compare
from seg_stream.export.photographs import read_photographs

MATRIX_SIDE, MATRIX_LAYERS = 2048, 16


def check_contexts(open_gpu: Callable[[], Gpu]) -> list[Check]:
    """Open the GPU, use it from several threads at once, twice beside itself, and close it."""
    data = [np.full(1 << 16, number, np.uint8) for number in range(8)]
    wrong = list[str]()

    def there_and_back(gpu: Gpu, number: int) -> None:
        def begin() -> tuple[Any, ...]:
            stream, done = gpu.stream(), gpu.event()
            up, down = gpu.pinned(1 << 16), gpu.pinned(1 << 16)
            memory = gpu.memory(1 << 16)
            np.copyto(up.array, data[number])
            gpu.upload(memory, up, stream)
            gpu.download(down, memory, stream)
            done.record(stream)
            return down, done

        try:
            for _ in range(20):
                down, done = gpu.call(begin)
                gpu.wait(done)
                if not np.array_equal(down.array, data[number]):
                    wrong.append(f"thread {number} got other bytes back")
        except Exception as error:  # a finding
            wrong.append(str(error))

    def several(gpus: list[Gpu]) -> None:
        threads = [
            threading.Thread(target=there_and_back, args=(gpus[number % len(gpus)], number))
            for number in range(len(data))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with open_gpu() as gpu:
        several([gpu])
    first = Check(
        name="one GPU from 8 threads", passed=not wrong, seen="; ".join(wrong[:2]) or "all copied"
    )
    wrong.clear()
    for _ in range(10):
        with open_gpu() as one, open_gpu() as two:
            several([one, two])
    second = Check(
        name="opened twice, ten times", passed=not wrong, seen="; ".join(wrong[:2]) or "all copied"
    )
    return [first, second]


def device_ms(engine: DeviceEngine, least_s: float) -> float:
    """Milliseconds a frame takes when many are enqueued and their tensors are on the GPU."""
    gpu = engine.gpu

    def run(count: int) -> float:
        def enqueue() -> tuple[Any, ...]:
            stream, start, end = gpu.stream(), gpu.event(timing=True), gpu.event(timing=True)
            start.record(stream)
            for _ in range(count):
                engine.enqueue(stream)
            end.record(stream)
            return stream, start, end

        stream, start, end = gpu.call(enqueue)
        gpu.wait(end)
        took_ms: float = gpu.call(lambda: end.ms_since(start))
        gpu.call(gpu.release, start, end, stream)
        return took_ms / count

    run(10)
    once_ms = run(10)
    return run(max(20, int(1000 * least_s / max(once_ms, 1e-3))))


def measure_engine(
    open_engine: Callable[[], DeviceEngine],
    name: str,
    model_name: str,
    model: Path,
    matrix_flops: float | None,
    copy_bytes: float | None,
    least_s: float,
) -> EngineFigures:
    """Measure a model in an engine, with `open_engine` to open it and the model's ONNX file."""
    start_s = perf_counter()
    with open_engine() as engine:
        engine.infer(np.zeros(engine.input.shape, np.float32))
        open_s = perf_counter() - start_s
        spec = engine.input
        photographs = read_photographs(None, spec.height, spec.width)
        inputs = [as_input(each, engine.info) for each in photographs]
        got = [engine.infer(each) for each in inputs]
        with OnnxRuntimeEngine(model) as reference:
            agreement = compare([reference.infer(each) for each in inputs], got)
        times = time_calls(lambda: engine.infer(inputs[0]), round_s=least_s / 5)
        each_ms = device_ms(engine, least_s)
    operations = count_operations(model)
    flop = 2 * operations.multiply_adds
    at_matrix_ms = 1000 * flop / matrix_flops if matrix_flops else 0.0
    halved = operations.bytes / 2  # counted in FP32; the engine moves FP16
    at_copy_ms = 1000 * halved / copy_bytes if copy_bytes else 0.0
    return EngineFigures(
        engine=name,
        model=model_name,
        size=f"{spec.width}x{spec.height}",
        max_abs_error=agreement.max_abs_error,
        iou=agreement.iou,
        open_s=round(open_s, 2),
        host_ms=Distribution.of("ms", times.calls_ms),
        device_ms=each_ms,
        fps=1000 / each_ms,
        gflop=flop / 1e9,
        floor_ms=max(at_matrix_ms, at_copy_ms),
        matrix_share=at_matrix_ms / each_ms,
    )


def write_products(path: Path, side: int = MATRIX_SIDE, layers: int = MATRIX_LAYERS) -> int:
    """Write a network of matrix products alone; returns its operations.

    Each layer is a 1x1 convolution of `side` channels over 64x64 pixels, which is one product of
    (`side`, `side`) and (`side`, 4096).
    """
    import onnx

    rng = np.random.default_rng(0)
    nodes, weights = [], []
    first = rng.normal(0, 0.1, (side, 3, 1, 1)).astype(np.float32)
    last = np.zeros((1, side, 1, 1), np.float32)
    value = "input"
    shapes = [first, *[None] * layers, last]
    for number, given in enumerate(shapes):
        weight = given
        if weight is None:
            weight = rng.normal(0, side**-0.5, (side, side, 1, 1)).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(weight, f"w{number}"))
        nodes.append(onnx.helper.make_node("Conv", [value, f"w{number}"], [f"v{number}"]))
        value = f"v{number}"
    nodes.append(onnx.helper.make_node("Sigmoid", [value], ["alpha"]))
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "products",
        [onnx.helper.make_tensor_value_info("input", kind, [1, 3, 64, 64])],
        [onnx.helper.make_tensor_value_info("alpha", kind, [1, 1, 64, 64])],
        weights,
    )
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    info = ModelInfo(name="products", input_std=(255.0, 255.0, 255.0))
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, str(path))
    return 2 * side * side * 4096 * layers


def write_article(path: Path, width: int, side: int) -> None:
    """Write the article's U-Net with random weights as ONNX.

    Raises:
        UserError: the export extra is missing.
    """
    from seg_stream.export.load import require_export_extra

    require_export_extra()
    import onnx

    from seg_stream.export.interface import read_interface
    from seg_stream.export.keras_to_onnx import keras_to_onnx
    from seg_stream.training.networks.unet import unet

    network = unet(input_size=(side, side, 3), width=width)
    model = keras_to_onnx(network, read_interface(network))
    info = ModelInfo(name=path.stem)
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, str(path))


def write_engine(library: str, model: Path, path: Path, open_gpu: Callable[[], Gpu]) -> None:
    """Build an engine file of a network whose masks mean nothing, so without the gate."""
    import onnx

    from seg_stream.engines.tensorrt_build import build, open_library
    from seg_stream.export.fp16 import to_fp16
    from seg_stream.export.pooling import pool_in_place

    half = to_fp16(onnx.load(str(model)))
    if library == "tensorrt-rtx":
        pool_in_place(half)
    with open_gpu() as where:
        built = build(open_library(library), half.SerializeToString(), call=where.call)
    path.write_bytes(built.plan)
    with OnnxRuntimeEngine(model) as described:
        info = described.info
    lines = [f'name = "{info.name}"', f"input_std = {list(info.input_std)}"]
    path.with_suffix(".toml").write_text("\n".join(lines) + "\n")

"""How the cost grows: with the frame, the network, its width, streams at once, and threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from seg_stream.benchmarks.clips import render_clip
from seg_stream.benchmarks.files import COMMAND
from seg_stream.benchmarks.networks import time_engine
from seg_stream.benchmarks.processes import run_module
from seg_stream.benchmarks.schema import Network, Point, Sample, Scaling
from seg_stream.engines.onnxruntime_cpu import available_cores
from seg_stream.engines.select import open_engine

FRAMES = 60
SIDE, WIDTH = 256, 16
"""Of the article's U-Net where the other one of the two grows."""


def fit(what: str, x_name: str, y_name: str, points: Sequence[Point]) -> Scaling:
    """Fit y = constant * x ** exponent to the points' logarithms, by least squares."""
    exponent = constant = r2 = None
    if len(points) > 1:
        xs = np.log([point.x for point in points])
        ys = np.log([point.y.median for point in points])
        slope, offset = np.polyfit(xs, ys, 1)
        rest = float(np.sum((ys - slope * xs - offset) ** 2))
        whole = float(np.sum((ys - ys.mean()) ** 2))
        exponent, constant = round(float(slope), 3), float(f"{np.exp(offset):.5g}")
        r2 = round(1 - rest / whole, 4) if len(points) > 2 and whole > 0 else None
    return Scaling(
        what=what, x_name=x_name, y_name=y_name, points=list(points),
        exponent=exponent, constant=constant, r2=r2,
    )  # fmt: skip


def by_threads(networks: Iterable[Network], model: str) -> Scaling:
    """A network's latency with more threads, from what was measured already."""
    found = [n for n in networks if n.model == Path(model).stem]
    points = [Point(x=n.threads, label=str(n.threads), y=n.latency) for n in found]
    return fit("threads of the network", "threads", "ms", points)


def by_resolution(
    rows: Iterable[int], background: Path, model: str, rounds: int, folder: Path
) -> Scaling:
    """Time a frame of a whole conversion takes, by the number of its pixels."""
    points = []
    for height in rows:
        width = round(height * 16 / 9 / 2) * 2
        clip = render_clip(folder / f"{height}p.mp4", width, height, FRAMES)
        values = [1000 / _convert(clip, folder / "out.mp4", background, model)
                  for _ in range(rounds)]  # fmt: skip
        points.append(Point(x=width * height / 1e6, label=f"{height}p", y=Sample.of("ms", values)))
    return fit("size of the frame", "million pixels", "ms a frame, whole conversion", points)


def by_streams(
    counts: Iterable[int], background: Path, model: str, rounds: int, folder: Path
) -> Scaling:
    """Frames a second of all conversions together, by how many run at once."""
    clip = render_clip(folder / "streams.mp4", 640, 360, FRAMES)
    points = []
    for count in counts:
        totals = []
        for _ in range(rounds):
            with ThreadPoolExecutor(count) as pool:
                rates = pool.map(
                    lambda i: _convert(clip, folder / f"out-{i}.mp4", background, model),
                    range(count),
                )
                totals.append(sum(rates))
        points.append(Point(x=count, label=str(count), y=Sample.of("fps", totals)))
    return fit("conversions at once, 360p", "conversions", "fps of all together", points)


def by_network(
    sides: Sequence[int], widths: Sequence[int], rounds: int, round_s: float, folder: Path
) -> list[Scaling]:
    """Latency of the article's U-Net with random weights, by its input's side and by its width."""
    shapes = [*((side, WIDTH) for side in sides), *((SIDE, width) for width in widths)]
    make_networks(shapes, folder)
    found = dict[tuple[int, int], Sample]()
    for shape in dict.fromkeys(shapes):
        model = _file_of(folder, *shape)
        with open_engine("auto", model, threads=available_cores()) as engine:
            found[shape] = Sample.of("ms", time_engine(engine, rounds, round_s).rounds_ms)
    return [
        fit(f"side of the network's input, U-Net of width {WIDTH}", "pixels", "ms",
            [Point(x=side, label=str(side), y=found[side, WIDTH]) for side in sides]),
        fit(f"width of the network, U-Net at {SIDE}x{SIDE}", "filters of the first level", "ms",
            [Point(x=width, label=str(width), y=found[SIDE, width]) for width in widths]),
    ]  # fmt: skip


def make_networks(shapes: Iterable[tuple[int, int]], folder: Path) -> None:
    """Export the article's U-Net with random weights for each side and width.

    In a process of its own: TensorFlow keeps memory and threads.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    words = [f"{side}x{width}" for side, width in dict.fromkeys(shapes)]
    subprocess.run(
        [sys.executable, "-m", __name__, str(folder), *words],
        check=True, capture_output=True, timeout=1200,
    )  # fmt: skip


def _convert(clip: Path, output: Path, background: Path, model: str) -> float:
    """Frames a second without the start and end of the process."""
    taken = run_module(
        COMMAND, "--input", clip, "--output", output, "--bg", background, "--model", model,
        "--overwrite", "--json",
    )  # fmt: skip
    return float(taken.said["fps"])


def _file_of(folder: Path, side: int, width: int) -> Path:
    return folder / f"unet-{side}-{width}.onnx"


def _export(folder: Path, shapes: Iterable[str]) -> None:
    import onnx

    from seg_stream.engines.model_info import METADATA_KEY, ModelInfo
    from seg_stream.export.interface import read_interface
    from seg_stream.export.keras_to_onnx import keras_to_onnx
    from seg_stream.training.networks.unet import unet

    for shape in shapes:
        side, width = map(int, shape.split("x"))
        model = unet(input_size=(side, side, 3), width=width)
        graph = keras_to_onnx(model, read_interface(model))
        info = ModelInfo(name=f"unet-{side}-{width}")
        onnx.helper.set_model_props(graph, {METADATA_KEY: info.to_json()})
        onnx.save(graph, str(_file_of(folder, side, width)))


if __name__ == "__main__":
    _export(Path(sys.argv[1]), sys.argv[2:])

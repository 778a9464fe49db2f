"""How the picture looks, in figures: flicker, lag, outline, and what each part of it costs.

`python -m seg_stream.benchmarks.look --data DATA`

Flicker is the flow-warped difference of alpha on clips, in thousandths. Lag is the delay, in
frames, of a known mask that best explains the alpha around a waving hand. F is the score of the
outline on the `portrait` suite. Choose settings with `--split val` and without the clips.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from seg_stream.benchmarks.moving import RATE, Scene, scenes
from seg_stream.engines.contract import Engine
from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.backgrounds import open_background
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte, MatteSettings
from seg_stream.pipeline.picture import bgr_to_planes, to_bgr
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.sources import open_file
from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.training.evaluation.scores import Flicker, alpha_error, boundary_f
from seg_stream.training.evaluation.suite import as_frame, portrait_suite, predict

WAVES = 4
"""As many scenes, from two waves a second to one in five seconds."""

LAG_FRAMES = 20
STEP = 0.25
DELAYS = np.arange(-0.5, 3.01, STEP)
"""Delays that are tried, in frames; in between, a parabola."""

Result = TypeVar("Result")

UNSTEADIED = MatteSettings(steadiness=0)
TIMED = 200


def flicker(engine: Engine, clips: list[Path]) -> Table:
    """The raw mask, the alpha of every mask for itself, and the alpha."""
    table = Table(
        "clip", "raw mask", "unsteadied alpha", "alpha", "alpha / raw", "alpha / unsteadied",
        title="Flicker, 1/1000",
    )  # fmt: skip
    rows = []
    for clip in clips:
        measure, alone, steadied = Flicker(), Matte(UNSTEADIED), Matte()
        with open_file(clip) as source:
            for frame in source:
                mask_hw = engine.infer(prepare(frame, engine.input, engine.info))
                measure.add(
                    frame.luma(), [mask_hw, alone(mask_hw, frame), steadied(mask_hw, frame)]
                )
        rows.append(measure.means())
        _add_flicker(table, clip.name, rows[-1])
    _add_flicker(table, "mean", [mean(column) for column in zip(*rows, strict=True)])
    return table


def _add_flicker(table: Table, name: str, values: list[float]) -> None:
    raw, alone, alpha = values
    figures = [f"{1e3 * value:.2f}" for value in values]
    table.add_row(name, *figures, f"{alpha / raw:.2f}", f"{alpha / alone:.2f}")


def lag(data: Path) -> Table:
    """The delay of known masks in the alpha, and how much it blurs the hand."""
    table = Table("wave, s", "unsteadied", "alpha", "error / unsteadied", title="Lag, frames")
    for scene in scenes(data, WAVES):
        (alone, least), (delay, error) = (
            _delay(scene, Matte(settings)) for settings in (UNSTEADIED, MatteSettings())
        )
        ratio = f"{(error / least) ** 0.5:.2f}"
        table.add_row(f"{scene.wave_s}", f"{alone:.2f}", f"{delay:.2f}", ratio)
    return table


def _delay(scene: Scene, matte: Matte) -> tuple[float, float]:
    """The delay, and the squared error against the mask of the frame itself."""
    true = _Known(scene)
    where = true.where()
    errors = np.zeros(len(DELAYS))
    for index in range(LAG_FRAMES):
        alpha_hw = matte(_as_network(true(index), index), scene.frame(index))
        if index < LAG_FRAMES // 5:
            continue  # nothing to be late for yet
        found = alpha_hw[where]
        errors += [float(((found - true(index - delay)[where]) ** 2).sum()) for delay in DELAYS]
    best = int(np.clip(errors.argmin(), 1, len(DELAYS) - 2))
    before, least, after = errors[best - 1 : best + 2]
    delay = DELAYS[best] + STEP * 0.5 * (before - after) / (before - 2 * least + after)
    return float(delay), float(errors[np.abs(DELAYS).argmin()])


class _Known:
    """The true alpha of a scene at any moment, in frames."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._kept: dict[float, FloatImage] = {}

    def __call__(self, at: float) -> FloatImage:
        if at not in self._kept:
            self._kept[at] = self._scene.alpha(at / RATE)
        return self._kept[at]

    def where(self) -> npt.NDArray[np.bool_]:
        """Around the hand, wherever it comes."""
        times = np.linspace(0, self._scene.wave_s, 60)
        ever = np.max([self._scene.hand(time) for time in times], axis=0) > 0
        near = cv2.dilate(ever.astype(np.uint8), np.ones((9, 9), np.uint8))
        return np.asarray(near, np.bool_)


def _as_network(alpha_hw: FloatImage, seed: int) -> FloatImage:
    """The known alpha as a network would give it: small, soft, unsure, above all at edges."""
    small = cv2.resize(alpha_hw, (256, 128), interpolation=cv2.INTER_AREA)
    soft = np.asarray(cv2.GaussianBlur(small, (0, 0), 1), np.float32)
    noise = np.random.default_rng(seed).normal(0, 1, soft.shape)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.float64)
    noise *= 0.06 / noise.std() * np.maximum(4 * soft * (1 - soft), 0.2)
    return np.asarray(np.clip(soft + noise, 0, 1), np.float32)


def outline(engine: Engine, data: Path, split: str) -> Table:
    """The network's mask, enlarged, against the alpha drawn to the frame's own edges."""
    table = Table(
        "part", "F mask", "F alpha", "error mask", "error alpha",
        title=f"Outline on the portrait suite, {split}; error of alpha in 1/1000",
    )  # fmt: skip
    for part, cases in portrait_suite(data, split).items():
        rows = []
        for case in cases:
            frame = as_frame(case.frame_bgr)
            mask_hw = engine.infer(prepare(frame, engine.input, engine.info))
            found = predict(engine, case.frame_bgr), Matte()(mask_hw, frame)
            scores = [boundary_f(each, case.alpha_hw) for each in found]
            rows.append(scores + [1e3 * alpha_error(each, case.alpha_hw) for each in found])
        raw_f, refined_f, raw_error, refined_error = np.mean(rows, axis=0)
        table.add_row(
            part, f"{raw_f:.4f}", f"{refined_f:.4f}", f"{raw_error:.2f}", f"{refined_error:.2f}"
        )
    return table


def times(engine: Engine, data: Path) -> Table:
    """What each part takes for a 720p frame; the least is what it takes on a machine at rest."""
    scene = next(iter(scenes(data, 1)))
    large = [
        np.asarray(cv2.resize(to_bgr(scene.frame(index)), (1280, 720)), np.uint8)
        for index in range(4)
    ]
    planes = [bgr_to_planes(image, "yuv420p", Colour()) for image in large]
    masks = [
        engine.infer(prepare(_frame_of(each, 0), engine.input, engine.info)) for each in planes
    ]
    matte, spent = Matte(), dict[str, list[float]]()
    blurred = open_background("blur")
    for run in range(TIMED + 8):
        frame, mask_hw = _frame_of(planes[run % 4], run), masks[run % 4]
        prepare(frame, engine.input, engine.info)  # not of the look; leaves the shrunk luma behind
        laps: dict[str, float] = {}
        alpha_hw = _timed(laps, "matte: steadied, drawn to edges", partial(matte, mask_hw, frame))
        room = _timed(laps, "blurred room", partial(blurred.planes, frame, alpha_hw))
        _timed(laps, "blend with edge colour", partial(blend, frame.planes, alpha_hw, room))
        for name, lap_ms in laps.items():
            spent.setdefault(name, []).append(lap_ms)
    table = Table("part", "median ms", "least ms", title="A 720p frame")
    figures = {name: (median(laps[8:]), min(laps[8:])) for name, laps in spent.items()}
    figures["together"] = (sum(m for m, _ in figures.values()), sum(m for _, m in figures.values()))
    for name, (usual, least) in figures.items():
        table.add_row(name, f"{usual:.2f}", f"{least:.2f}")
    return table


def _frame_of(planes: tuple[Image, ...], index: int) -> Frame:
    frame = as_frame(np.zeros((2, 2, 3), np.uint8))
    return Frame(index, planes, "yuv420p", Colour(), index, frame.time_base, 0.0)


def _timed(laps: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    start_s = perf_counter()
    result = work()
    laps[name] = 1e3 * (perf_counter() - start_s)
    return result


def main() -> int:
    """Print the tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="as for seg-train; with clips/")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument(
        "--only", choices=("flicker", "lag", "outline", "times"), action="append", default=[]
    )
    options = parser.parse_args()
    console = Console()
    cv2.setNumThreads(2)
    try:
        with open_engine("auto", options.model, threads=2) as engine:
            clips = sorted((options.data / "clips").glob("webcam_*"))
            tables: dict[str, Callable[[], Table]] = {
                "flicker": partial(flicker, engine, clips),
                "lag": partial(lag, options.data),
                "outline": partial(outline, engine, options.data, options.split),
                "times": partial(times, engine, options.data),
            }
            for name in options.only or tables:
                console.print(tables[name]())
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

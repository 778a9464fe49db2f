"""Score models side by side on the same frames, in the same run."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from seg_stream.engines.contract import Engine
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.sinks.part_file import write_whole
from seg_stream.pipeline.sources import open_file
from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.training.evaluation.scores import (
    Flicker,
    alpha_error,
    boundary_f,
    gap_filled,
    mask_iou,
)
from seg_stream.training.evaluation.suite import Case, as_frame, predict
from seg_stream.training.records import picture_row, to_bytes, to_png

TIMED_RUNS = 100
WORST = 12
ALL = "all"
"""What the parts of a suite together are called."""


@dataclass(frozen=True)
class Scores:
    """Means over the frames of a part of the suite; `gap_filled` over those that show a gap."""

    iou: float
    worst_iou: float
    boundary_f: float
    alpha_error: float
    gap_filled: float | None
    frames: int
    gap_frames: int


@dataclass
class Report:
    """All that is known about one model; `flicker` by clip."""

    name: str
    engine: str
    input: str
    suite: dict[str, Scores] = field(default_factory=dict)
    latency_ms: float = 0.0
    flicker: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The report as plain values."""
        return asdict(self)


def new_report(engine: Engine) -> Report:
    """A report with nothing measured yet."""
    width, height = engine.input.width, engine.input.height
    return Report(engine.info.name, engine.name, f"{width}x{height}")


def score_suite(
    engine: Engine, suite: dict[str, list[Case]], report: Report, worst: Path | None
) -> None:
    """Fill in the scores of every part and, if there are several, of all parts together.

    "All" weighs the parts alike, however many frames they have. With `worst` a sheet of the worst
    frames of each part is written there: image, true alpha, found alpha, overlay.
    """
    sheets = []
    for part, cases in suite.items():
        values, gaps, rows = [], [], []
        for case in cases:
            found = predict(engine, case.frame_bgr)
            scores = (
                mask_iou(found, case.alpha_hw),
                boundary_f(found, case.alpha_hw),
                alpha_error(found, case.alpha_hw),
            )
            values.append(scores)
            if (filled := gap_filled(found, case.alpha_hw)) is not None:
                gaps.append(filled)
            if worst:
                rows.append((scores[0], _row(case, found)))
        iou, outline, error = np.mean(values, axis=0)
        lowest = min(value[0] for value in values)
        report.suite[part] = Scores(
            iou=float(iou),
            worst_iou=float(lowest),
            boundary_f=float(outline),
            alpha_error=float(error),
            gap_filled=_mean(gaps),
            frames=len(values),
            gap_frames=len(gaps),
        )
        sheets += [row for _, row in sorted(rows, key=lambda item: item[0])[:WORST]]
    if len(report.suite) > 1:
        report.suite[ALL] = _together(list(report.suite.values()))
    if worst:
        write_whole(worst, to_png(np.vstack(sheets)))


def time_engines(engines: list[Engine], case: Case, runs: int = TIMED_RUNS) -> list[float]:
    """The median time of each engine on one frame, ms; they take turns, so noise hits all alike."""
    inputs = [_input(engine, case) for engine in engines]
    times_ms: list[list[float]] = [[] for _ in engines]
    for run in range(runs + 10):
        for engine, tensor, times in zip(engines, inputs, times_ms, strict=True):
            start = time.perf_counter()
            engine.infer(tensor)
            if run >= 10:
                times.append(1e3 * (time.perf_counter() - start))
    return [float(np.median(times)) for times in times_ms]


def measure_flicker(engines: list[Engine], clip: Path, reports: list[Report], name: str) -> None:
    """Fill in each model's warping error on a clip of that name, from the network's plain masks.

    Raises:
        UserError: the clip cannot be read, or has fewer than two frames.
    """
    flicker = Flicker()
    frames = 0
    with open_file(clip) as source:
        for frame in source:
            masks = [engine.infer(prepare(frame, engine.input, engine.info)) for engine in engines]
            flicker.add(frame.luma(), masks)
            frames += 1
    if frames < 2:
        raise UserError(f"{clip} has {frames} frames; flicker needs two or more.")
    for report, error in zip(reports, flicker.means(), strict=True):
        report.flicker[name] = error


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _together(parts: list[Scores]) -> Scores:
    gaps = [part.gap_filled for part in parts if part.gap_filled is not None]
    return Scores(
        iou=float(np.mean([part.iou for part in parts])),
        worst_iou=min(part.worst_iou for part in parts),
        boundary_f=float(np.mean([part.boundary_f for part in parts])),
        alpha_error=float(np.mean([part.alpha_error for part in parts])),
        gap_filled=_mean(gaps),
        frames=sum(part.frames for part in parts),
        gap_frames=sum(part.gap_frames for part in parts),
    )


def _input(engine: Engine, case: Case) -> FloatImage:
    return prepare(as_frame(case.frame_bgr), engine.input, engine.info)


def _row(case: Case, found_hw: FloatImage) -> Image:
    found = to_bytes(found_hw)
    row = picture_row(case.frame_bgr, case.alpha_hw, found)
    return np.asarray(cv2.resize(row, (1280, 180), interpolation=cv2.INTER_AREA), np.uint8)

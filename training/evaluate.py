"""Score models on the `portrait` suite; `python -m seg_stream.training.evaluate -h`.

The suite: people of a split (half CCP, half headshots) in webcam framing, in rooms that no model
was trained on. A model sees the frame through the pipeline's own `prepare`. Tune on `val`, in the
rooms of the training; `test` is for reporting.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from seg_stream.engines.contract import Engine
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training import camera
from seg_stream.training.framing import draw_webcam, place
from seg_stream.training.pairs import Portrait, load_backgrounds, load_ccp, load_headshots

FRAME_ROWS = 360
ROOMS_EACH = 2
SEED = 2024


@dataclass(frozen=True)
class Case:
    """One frame of the suite, uint8 (H, W, 3) BGR, and its true alpha, uint8 (H, W)."""

    frame_bgr: Image
    alpha_hw: Image


def portrait_suite(data: Path, split: str = "test", indoors: bool = False) -> dict[str, list[Case]]:
    """Compose the suite: the halves `ccp` and `headshots`, the same frames every time.

    With `indoors` only homes and offices are used, which are few but hard: chairs, tables, shelves.
    Suspect masks, and portraits of which less than a head is clear of the edge, are left out.

    Raises:
        UserError: data are missing or unreadable.
    """
    kinds = load_backgrounds(data / "backgrounds", test=split == "test")
    if indoors:
        kinds = {kind: kinds[kind] for kind in ("interior", "room") if kind in kinds}
    rooms = [room for pictures in kinds.values() for room in pictures]
    return {
        "ccp": _cases(load_ccp(data / "ccp", split), rooms),
        "headshots": _cases(load_headshots(data / "headshots", split), rooms),
    }


def _cases(people: list[Portrait], rooms: list[Image]) -> list[Case]:
    cases = []
    for i, person in enumerate(people):
        for j in range(ROOMS_EACH):
            rng = np.random.default_rng([SEED, i, j])
            framing = draw_webcam(person, rng)
            size = (round(FRAME_ROWS * framing.aspect), FRAME_ROWS)
            colour, matte = place(person, framing, size)
            room = rooms[int(rng.integers(len(rooms)))]
            background = np.asarray(
                cv2.resize(room, size, interpolation=cv2.INTER_AREA), np.float32
            )
            alpha_hw = unit(matte)
            foreground = camera.match_light(colour.astype(np.float32), alpha_hw, background, rng)
            alpha = alpha_hw[..., None]
            frame = foreground * alpha + background * (1 - alpha)
            cases.append(Case(camera.sensor(np.asarray(frame, np.float32), rng), matte))
    return cases


def predict(engine: Engine, frame_bgr: Image) -> FloatImage:
    """The engine's probability for one frame, float32 (H, W) at the frame's size."""
    frame = Frame(0, (frame_bgr,), "bgr24", Colour(), 0, Fraction(1), 0.0, still=True)
    mask_hw = engine.infer(prepare(frame, engine.input, engine.info))
    size = (frame.width, frame.height)
    return np.asarray(cv2.resize(mask_hw, size, interpolation=cv2.INTER_LINEAR), np.float32)


def mask_iou(predicted_hw: FloatImage, alpha_hw: Image) -> float:
    """Intersection over union at one half; two empty masks agree fully."""
    found, true = predicted_hw > 0.5, alpha_hw > 127
    either = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / either if either else 1.0


def main() -> int:
    """Print a line for each model; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="ccp/, headshots/, backgrounds/")
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--indoors", action="store_true", help="homes and offices only")
    parser.add_argument("--worst", type=Path, help="write a picture of the worst cases here")
    parser.add_argument("models", nargs="+", help="shipped models' names or .onnx files")
    options = parser.parse_args()
    try:
        suite = portrait_suite(options.data, options.split, options.indoors)
        for model in options.models:
            with open_engine("auto", model) as engine:
                _score(engine, suite, options.worst)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _score(engine: Engine, suite: dict[str, list[Case]], worst: Path | None) -> None:
    scored: list[tuple[float, Case, FloatImage]] = []
    text = []
    for half, cases in suite.items():
        results = []
        for case in cases:
            predicted = predict(engine, case.frame_bgr)
            results.append((mask_iou(predicted, case.alpha_hw), case, predicted))
        values = [value for value, _, _ in results]
        text.append(f"{half} {np.mean(values):.4f} (worst {min(values):.3f}, {len(cases)} frames)")
        scored += results
    print(f"{engine.info.name}: IoU {', '.join(text)}", flush=True)
    if worst:
        scored.sort(key=lambda item: item[0])
        tiles = [_tile(case, predicted) for _, case, predicted in scored[:24]]
        rows = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)]
        cv2.imwrite(str(worst), np.vstack(rows))


def _tile(case: Case, predicted: FloatImage) -> Image:
    """The frame beside the truth (green) and the prediction (red); both right is yellow."""
    overlay = np.zeros_like(case.frame_bgr)
    overlay[..., 1] = case.alpha_hw
    overlay[..., 2] = np.rint(predicted * 255)
    pair = np.hstack([case.frame_bgr, overlay])
    return np.asarray(cv2.resize(pair, (480, 160), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    sys.exit(main())

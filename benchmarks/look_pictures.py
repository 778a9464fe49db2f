"""Make the pictures of docs/look.md: with and without each part of the look.

`python -m seg_stream.benchmarks.look_pictures docs/look`

The person and the rocket are NASA's, public domain, from scikit-image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from seg_stream.engines.contract import Engine
from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.backgrounds import Background, BlurBackground, StillBackground
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.look import Composer, Look
from seg_stream.pipeline.matte import Matte, MatteSettings
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.sample import RATE, read_portrait, view
from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.pipeline.unsure import decide_by_colour

QUALITY = 85
GAP = 6


def main() -> int:
    """Write the pictures; returns the exit code."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open_engine("auto", DEFAULT) as engine:
            pictures = _pictures(engine)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for name, panels in pictures.items():
        gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
        row = np.hstack([part for panel in panels for part in (panel, gap)][:-1])
        code = cv2.imencode(".jpg", row, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        (folder / f"{name}.jpg").write_bytes(code.tobytes())
    return 0


def _pictures(engine: Engine) -> dict[str, list[Image]]:
    """The panels of each picture, from left to right."""
    portrait = read_portrait()
    frame = _frame(view(portrait, 0), 0)
    mask_hw = engine.infer(prepare(frame, engine.input, engine.info))
    alpha_hw = Matte()(mask_hw, frame)
    rocket = _rocket()
    green = StillBackground(np.full((1, 1, 3), (80, 200, 60), np.uint8))

    def composed(background: Background, look: Look, alpha: FloatImage = alpha_hw) -> Image:
        return Composer(look)(frame, alpha, background)[0]

    plain = composed(rocket, Look())
    sky = StillBackground(_sky())
    soft = np.asarray(cv2.resize(mask_hw, (frame.width, frame.height)), np.float32)
    hair, collar = _crop(40, 250, 190, 470), _crop(110, 330, 100, 320)
    decided_hw = decide_by_colour(mask_hw, frame.shrunk(mask_hw.shape[1], mask_hw.shape[0]))
    blurred = [composed(BlurBackground(), Look(blur_strength=s)) for s in (0.0, 0.5, 1.0)]
    return {
        "edges": [hair(composed(green, Look(), soft)), hair(composed(green, Look()))],
        "unsure": [collar(each) for each in (frame.planes[0], _grey(soft), _grey(decided_hw))],
        "steady": _flicker(engine, portrait),
        "edge-colour": [
            hair(_mixed(frame.planes[0], alpha_hw, green)),
            hair(composed(green, Look())),
        ],
        "light-wrap": [composed(sky, Look()), composed(sky, Look(light_wrap=1))],
        "match-colour": [plain, composed(rocket, Look(match_colour=1))],
        "blur": [_half(each) for each in (frame.planes[0], *blurred)],
        "falloff": [
            blurred[2],
            composed(BlurBackground(), Look(blur_strength=1, blur_falloff=True)),
        ],
    }


def _frame(image_bgr: Image, index: int) -> Frame:
    return Frame(index, (image_bgr,), "bgr24", Colour(), index, Fraction(1, RATE), 0.0)


def _rocket() -> StillBackground:
    try:
        from skimage import data
    except ImportError:
        raise UserError("The rocket comes with scikit-image; pip install scikit-image.") from None
    return StillBackground(np.ascontiguousarray(data.rocket()[:, :, ::-1]))  # type: ignore[no-untyped-call]


def _sky() -> Image:
    """A bright evening: orange at the horizon, pale blue above."""
    down = np.linspace(0, 1, 480, dtype=np.float32)[:, None, None]
    top, horizon = np.array([[250, 225, 200], [120, 200, 255]], np.float32)
    return np.repeat(np.rint(top + (horizon - top) * down), 640, axis=1).astype(np.uint8)


def _crop(top: int, bottom: int, left: int, right: int) -> Callable[[Image], Image]:
    return lambda image: np.repeat(np.repeat(image[top:bottom, left:right], 2, 0), 2, 1)


def _half(image: Image) -> Image:
    return np.asarray(
        cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8
    )


def _mixed(image: Image, alpha_hw: FloatImage, behind: StillBackground) -> Image:
    """The composite with the old room's share left in the mixed pixels."""
    room = behind.planes(_frame(image, 0), alpha_hw)[0]
    alpha = alpha_hw[..., None]
    return np.rint(image * alpha + room * (1 - alpha)).astype(np.uint8)


def _flicker(engine: Engine, portrait: Image) -> list[Image]:
    """A second of a still person under a camera's noise: how far each pixel's alpha ranges."""
    rng = np.random.default_rng(0)
    still = view(portrait, 0)
    mattes = Matte(MatteSettings(steadiness=0)), Matte()
    alphas: tuple[list[FloatImage], list[FloatImage]] = ([], [])
    for index in range(RATE):
        noisy = np.clip(np.rint(still + rng.normal(0, 5, still.shape)), 0, 255).astype(np.uint8)
        frame = _frame(noisy, index)
        mask_hw = engine.infer(prepare(frame, engine.input, engine.info))
        for matte, kept in zip(mattes, alphas, strict=True):
            kept.append(matte(mask_hw, frame).copy())
    ranges = [np.ptp(kept[5:], axis=0) for kept in alphas]
    return [_grey(each) for each in ranges]


def _grey(values_hw: FloatImage) -> Image:
    """0..1 as a grey picture of the frame's size."""
    large = cv2.resize(cv2.convertScaleAbs(values_hw, alpha=255), (640, 480))
    return np.asarray(cv2.merge([large] * 3), np.uint8)


if __name__ == "__main__":
    sys.exit(main())

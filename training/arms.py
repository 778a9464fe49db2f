"""Draw bent and raised arms on a person: the photographs mostly show arms that hang.

An arm is two tapered limbs and a hand, textured with the person's own clothes and skin, shaded as a
cylinder, sometimes blurred by its own motion. What matters is not that it looks right but that what
hangs on a person is person, and that the wall seen between an arm and a body is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training.framing import Framing, to_frame
from seg_stream.training.pairs import Portrait

FINE = 2
"""Arms are drawn this many times finer than the frame, so that their outline is soft."""

Outline = npt.NDArray[np.float64]
"""The corners of a polygon, (N, 2), x and y."""

# Lengths and radii in heads, after the eight-heads figure of drawing schools.
SHOULDER = (0.68, 1.5)
"""Beside the middle of the head, and below its top."""
UPPER, FORE, HAND = 1.5, 1.2, 0.38
AT_SHOULDER, AT_ELBOW, AT_WRIST = 0.27, 0.20, 0.125


@dataclass(frozen=True)
class _Arm:
    """Joints in frame heights, and the head's height that its parts are measured by."""

    shoulder: npt.NDArray[np.float64]
    elbow: npt.NDArray[np.float64]
    wrist: npt.NDArray[np.float64]
    towards: float
    head: float


def add_arms(
    colour: FloatImage,
    alpha_hw: FloatImage,
    person: Portrait,
    framing: Framing,
    rng: np.random.Generator,
) -> tuple[FloatImage, FloatImage]:
    """Draw one or two arms on a person who was placed in a frame.

    Args:
        colour: the person's colour, (H, W, 3) float32 BGR 0..255, as `place` gave it.
        alpha_hw: the person's alpha, (H, W) 0..1.
        person: the portrait.
        framing: where it was placed.
        rng: draws the poses.

    Returns:
        The colour and the alpha with the arms.
    """
    sides = rng.permutation([-1, 1])[: int(rng.integers(1, 3))]
    cloth = _mean(colour, alpha_hw, person, framing, below=1.65)
    skin = _mean(colour, alpha_hw, person, framing, below=0.62) * rng.uniform(0.8, 1.1)
    sleeve = float(rng.choice([0.0, rng.uniform(0.2, 0.8), 1.7, 2.0], p=[0.1, 0.3, 0.1, 0.5]))
    bulk, thick = rng.uniform(1.0, 1.3), rng.uniform(0.85, 1.15)
    for side in sides:
        arm = _pose(person, framing, int(side), rng)
        bare = _cover(arm, framing, colour.shape[:2], 2.0, thick, rng)
        dressed = _cover(arm, framing, colour.shape[:2], sleeve, thick * bulk, None)
        texture = _texture(colour, alpha_hw, cloth, arm, framing, rng)
        light = rng.uniform(0, 2 * math.pi)
        depth = rng.uniform(0.15, 0.6)
        limb = np.broadcast_to(skin.astype(np.float32), colour.shape) * shade(bare, light, depth)
        over = unit(dressed)[..., None]
        limb = limb * (1 - over) + texture * shade(dressed, light, depth) * over
        cover = np.maximum(unit(bare), unit(dressed))
        if rng.random() < 0.3:
            limb, cover = _smear(limb, cover, arm.head * colour.shape[0], rng)
        body = colour * _shadow(cover, arm.head * colour.shape[0], rng)
        colour, alpha_hw = put_on(body, alpha_hw, limb, cover)
    return colour, alpha_hw


def put_on(
    colour: FloatImage, alpha_hw: FloatImage, part: FloatImage, cover: FloatImage
) -> tuple[FloatImage, FloatImage]:
    """Put a part over a person.

    `part` and `colour` are (H, W, 3) float32 BGR, `alpha_hw` and `cover` (H, W) 0..1. Returns the
    colour and the alpha of both.
    """
    behind = alpha_hw * (1 - cover)
    total = np.asarray(cover + behind, np.float32)
    mixed = part * cover[..., None] + colour * behind[..., None]
    blended = mixed / np.maximum(total, 1e-3)[..., None]
    return np.where((cover > 0.004)[..., None], blended, colour).astype(np.float32), total


def _pose(person: Portrait, framing: Framing, side: int, rng: np.random.Generator) -> _Arm:
    """Joints of an arm on one side (-1 or 1) of the picture."""
    top = to_frame(person, framing, person.head_x, person.top)
    head = framing.height / framing.heads
    shoulder = top + head * np.array([side * SHOULDER[0], SHOULDER[1]]) * rng.uniform(0.9, 1.1)
    # Angles from straight down, outwards.
    upper = math.radians(rng.choice([rng.uniform(-15, 60), rng.uniform(40, 160)], p=[0.65, 0.35]))
    bend = math.radians(rng.uniform(10, 165)) * (1 if rng.random() < 0.85 else -0.6)
    fore = upper - bend if upper < 0.3 and rng.random() < 0.5 else upper + bend
    lengths = np.array([UPPER, FORE]) * rng.uniform(0.65, 1.05, 2) * head
    elbow = shoulder + lengths[0] * np.array([side * math.sin(upper), math.cos(upper)])
    wrist = elbow + lengths[1] * np.array([side * math.sin(fore), math.cos(fore)])
    towards = math.atan2(*(wrist - elbow)[::-1]) + rng.normal(0, 0.35)
    return _Arm(shoulder, elbow, wrist, towards, head)


def _cover(
    arm: _Arm,
    framing: Framing,
    shape: tuple[int, ...],
    last: float,
    thick: float,
    rng: np.random.Generator | None,
) -> Image:
    """The arm's outline from the shoulder to `last`, in limbs; with `rng` also the hand."""
    joints = [arm.shoulder, arm.elbow, arm.wrist]
    radii = np.array([AT_SHOULDER, AT_ELBOW, AT_WRIST]) * arm.head * thick
    parts = []
    for limb in range(2):
        end = min(max(last - limb, 0.0), 1.0)
        if end > 0:
            tip = joints[limb] + end * (joints[limb + 1] - joints[limb])
            radius = radii[limb] + end * (radii[limb + 1] - radii[limb])
            parts.append(_capsule(joints[limb], tip, radii[limb], radius))
    if rng is not None:
        parts += _hand(arm, thick, rng)
    return cover_of(parts, framing, shape)


def _hand(arm: _Arm, thick: float, rng: np.random.Generator) -> list[Outline]:
    unit_head = arm.head * thick
    along = np.array([math.cos(arm.towards), math.sin(arm.towards)])
    palm = arm.wrist + HAND * arm.head * along * rng.uniform(0.6, 1.0)
    width = 0.17 * unit_head * rng.uniform(0.7, 1.1)
    parts = [_capsule(arm.wrist, palm, AT_WRIST * unit_head, width)]
    if rng.random() < 0.3:
        return parts  # a fist
    spread = rng.uniform(0.1, 0.55)
    for finger in range(-2, 3):
        angle = arm.towards + finger * spread * 0.5 + rng.normal(0, 0.1)
        root = palm + finger * 0.06 * unit_head * np.array([-along[1], along[0]])
        length = arm.head * rng.uniform(0.2, 0.4)
        tip = root + length * np.array([math.cos(angle), math.sin(angle)])
        parts.append(_capsule(root, tip, 0.05 * unit_head, 0.04 * unit_head))
    return parts


def _capsule(
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    start_radius: float,
    end_radius: float,
) -> Outline:
    """The hull of two discs."""
    turns = np.linspace(0, 2 * math.pi, 20, endpoint=False)
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    points = np.concatenate([start + ring * start_radius, end + ring * end_radius])
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float64)


def cover_of(outlines: Sequence[Outline], framing: Framing, shape: tuple[int, ...]) -> Image:
    """What filled outlines, in units of the frame's height, cover of it; uint8 (H, W)."""
    scales = FINE * np.array([shape[1] / framing.aspect, shape[0]])
    canvas = np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)
    for outline in outlines:
        points = np.rint(np.clip(outline * scales, -1e4, 1e4)).astype(np.int32)
        cv2.fillPoly(canvas, [points], 255)
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _mean(
    colour: FloatImage, alpha_hw: FloatImage, person: Portrait, framing: Framing, below: float
) -> npt.NDArray[np.float64]:
    """The person's mean colour in a disc `below` heads under the top of the head."""
    height, width = alpha_hw.shape
    top = person.top + below * person.head
    x, y = to_frame(person, framing, person.head_x, top)
    disc = np.zeros((height, width), np.uint8)
    radius = 0.22 * framing.height / framing.heads
    axes = (max(1, int(radius * width / framing.aspect)), max(1, int(radius * height)))
    centre = (int(np.clip(x / framing.aspect, 0, 1) * width), int(np.clip(y, 0, 0.97) * height))
    cv2.ellipse(disc, centre, axes, 0, 0, 360, 255, -1)
    weight = unit(disc) * alpha_hw + 1e-4 * alpha_hw + 1e-9
    total = weight.ravel() @ colour.reshape(-1, 3)
    return np.asarray(total / weight.sum(), np.float64)


def _texture(
    colour: FloatImage,
    alpha_hw: FloatImage,
    cloth: npt.NDArray[np.float64],
    arm: _Arm,
    framing: Framing,
    rng: np.random.Generator,
) -> FloatImage:
    """The person's clothes, turned and moved to lie under the arm; plain where there are none."""
    height, width = alpha_hw.shape
    scales = np.array([width / framing.aspect, height])
    middle = arm.elbow * scales
    source = (arm.shoulder + np.array([0.0, arm.head * 0.8])) * scales
    matrix = cv2.getRotationMatrix2D((float(source[0]), float(source[1])), rng.uniform(0, 360), 1.0)
    matrix[:, 2] += middle - source
    moved = cv2.warpAffine(colour, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    there = cv2.warpAffine(alpha_hw, matrix, (width, height))[..., None] ** 2
    plain = cloth.astype(np.float32)
    mixed = np.asarray(moved) * there + plain * (1 - there)
    share = rng.uniform(0.0, 1.0)  # clothes of one colour are common
    return np.asarray(share * mixed + (1 - share) * plain, np.float32)


def shade(cover: Image, light: float, depth: float) -> FloatImage:
    """Brightness of a round limb: dark towards its outline and away from the light."""
    far = np.asarray(cv2.distanceTransform(cover, cv2.DIST_L2, 3), np.float32)
    most = max(float(np.percentile(far[far > 0], 90)) if (far > 0).any() else 1.0, 1.0)
    rise = np.sqrt(np.clip(far / most, 0.0, 1.0))
    smooth = cv2.GaussianBlur(rise, (0, 0), 1.0)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    slope = math.cos(light) * across + math.sin(light) * down
    bright = 1 - depth * (1 - rise) - 0.5 * depth * np.clip(slope, -0.8, 0.8)
    return np.asarray(np.clip(bright, 0.2, 1.4), np.float32)[..., None]


def _smear(
    limb: FloatImage, cover: FloatImage, head: float, rng: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """The arm's own motion blur, up to a third of a head (given in pixels) long."""
    length = max(3, int(head * rng.uniform(0.05, 0.35)) | 1)
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, math.pi)
    reach = (length - 1) / 2 * np.array([math.cos(angle), math.sin(angle)])
    ends = [tuple(round(v) for v in (length - 1) / 2 + sign * reach) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    kernel /= kernel.sum()
    smeared = cv2.filter2D(np.dstack([limb * cover[..., None], cover]), -1, kernel)
    soft = np.asarray(smeared[..., 3], np.float32)
    return np.asarray(smeared[..., :3] / np.maximum(soft, 1e-3)[..., None], np.float32), soft


def _shadow(cover: FloatImage, head: float, rng: np.random.Generator) -> FloatImage:
    """The brightness of the body below an arm that throws a soft shadow on it."""
    blurred = cv2.GaussianBlur(cover, (0, 0), max(0.5, head * rng.uniform(0.05, 0.2)))
    return np.asarray(1 - rng.uniform(0.0, 0.5) * np.asarray(blurred), np.float32)[..., None]

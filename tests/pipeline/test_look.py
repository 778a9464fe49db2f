"""Light, colour and blur on a real photograph: what each option does, and what it must not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from frames import FORMATS, bgr_frame, formats, frame_of, random_planes, sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.backgrounds import Background, BlurBackground, StillBackground
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.foreground import blur_fusion
from seg_stream.pipeline.frame import Frame, PixelFormat
from seg_stream.pipeline.job import Job
from seg_stream.pipeline.look import Composer, Look
from seg_stream.pipeline.matte import Matte
from seg_stream.pipeline.picture import bgr_to_planes, to_bgr
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.sample import read_portrait, view

WHITE, ORANGE, NIGHT = (255, 255, 255), (60, 140, 250), (60, 30, 15)

Photograph = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def photograph() -> Photograph:
    """An astronaut, (480, 640, 3), and the alpha that the shipped network finds."""
    pytest.importorskip("skimage", reason="needs scikit-image for its photographs")
    image = view(read_portrait(), 0)
    frame = bgr_frame(image)
    with open_engine("auto", DEFAULT, threads=2) as engine:
        mask = engine.infer(prepare(frame, engine.input, engine.info))
    alpha = Matte()(mask, frame)
    image.flags.writeable = alpha.flags.writeable = False
    return image, alpha


def in_format(image: np.ndarray, format: PixelFormat, index: int = 0) -> Frame:
    colour = Colour(1, 1)
    return frame_of(bgr_to_planes(image, format, colour), format, index=index, colour=colour)


def plain(colour: tuple[int, int, int]) -> Background:
    return StillBackground(np.full((1, 1, 3), colour, np.uint8))


def composed(frame: Frame, alpha: np.ndarray, background: Background, look: Look) -> np.ndarray:
    """The composite as BGR, signed."""
    planes = Composer(look)(frame, alpha, background)
    shown = Frame(0, planes, frame.format, frame.colour, 0, Fraction(1), 0.0)
    return to_bgr(shown).astype(int)


def rings(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inside the person's edge, deep inside, and where no person is."""
    inside, outside = ((alpha == value).astype(np.uint8) for value in (1, 0))
    near, far = (cv2.erode(inside, np.ones((side, side), np.uint8)) > 0 for side in (5, 91))
    edge = near & ~(cv2.erode(inside, np.ones((15, 15), np.uint8)) > 0)
    # Beside the edge, a pixel of halved chroma belongs to both.
    return edge, far, cv2.erode(outside, np.ones((5, 5), np.uint8)) > 0


# Light wrap.


@pytest.mark.parametrize("format", FORMATS)
def test_light_falls_on_the_edge_and_nowhere_else(
    format: PixelFormat, photograph: Photograph
) -> None:
    image, alpha = photograph
    frame = in_format(image, format)
    before = composed(frame, alpha, plain(WHITE), Look())
    after = composed(frame, alpha, plain(WHITE), Look(light_wrap=1))
    edge, deep, room = rings(alpha)
    gain = (after - before).mean(axis=2)
    assert gain[edge].mean() > 15
    assert np.abs(gain[deep]).max() <= 1
    assert np.abs(gain[room]).max() <= 1
    assert gain.min() >= -3, "light darkens nothing, but for rounding"


@pytest.mark.parametrize("format", ["bgr24", "yuv420p"])
def test_the_light_has_the_colour_of_the_background(
    format: PixelFormat, photograph: Photograph
) -> None:
    image, alpha = photograph
    frame = in_format(image, format)
    edge, _, _ = rings(alpha)

    def gain(colour: tuple[int, int, int], strength: float) -> np.ndarray:
        look = Look(light_wrap=strength)
        change = composed(frame, alpha, plain(colour), look) - composed(
            frame, alpha, plain(colour), Look()
        )
        return change[edge].mean(axis=0)

    blue, _, red = gain(ORANGE, 1)
    assert red > blue + 5
    assert np.abs(gain(NIGHT, 1)).max() < 0.3 * gain(WHITE, 1).mean()
    assert gain(WHITE, 0.3).mean() < 0.5 * gain(WHITE, 1).mean()


# Light and colour.


@pytest.mark.parametrize("format", FORMATS)
def test_the_person_goes_part_of_the_way_to_the_backgrounds_light(
    format: PixelFormat, photograph: Photograph
) -> None:
    image, alpha = photograph
    frame = in_format(image, format)
    _, deep, room = rings(alpha)
    for colour in (WHITE, NIGHT, ORANGE):
        before = composed(frame, alpha, plain(colour), Look())
        after = composed(frame, alpha, plain(colour), Look(match_colour=1))
        half = composed(frame, alpha, plain(colour), Look(match_colour=0.5))
        way = np.array(colour).mean() - before[deep].mean()
        gone, half_gone = ((each - before)[deep].mean() / way for each in (after, half))
        assert 0.1 < half_gone < gone < 0.7
        np.testing.assert_array_equal(after[room], before[room])


def test_a_tint_is_given_but_black_and_white_stay(photograph: Photograph) -> None:
    image, alpha = photograph
    frame = in_format(image, "yuv420p")
    _, deep, _ = rings(alpha)
    before, after = (
        composed(frame, alpha, plain((250, 120, 100)), Look(match_colour=strength))
        for strength in (0, 1)
    )
    blue, _, red = (after - before)[deep].mean(axis=0)
    assert blue > red + 10
    dark, bright = before.max(axis=2) < 12, before.min(axis=2) > 243
    assert np.abs((after - before).mean(axis=2))[(dark | bright) & deep].max() < 15


def test_the_light_does_not_pump_when_the_picture_changes_at_once(
    photograph: Photograph,
) -> None:
    """A lamp goes on in front of the person for a second: the rest of the person must not jump."""
    image, alpha = photograph
    lamp = image.copy()
    lamp[280:] = 255
    _, deep, _ = rings(alpha)
    deep[270:] = False
    composer, background = Composer(Look(match_colour=1)), plain(NIGHT)
    means = []
    for index in range(75):
        frame = in_format(lamp if 25 <= index < 50 else image, "yuv420p", index)
        planes = composer(frame, alpha, background)
        means.append(float(planes[0][deep].mean()))
    assert np.abs(np.diff(means)).max() < 0.6
    assert np.ptp(means) > 2, "in the end it follows"
    composer.restart()
    again = composer(in_format(image, "yuv420p", 0), alpha, background)
    assert abs(float(again[0][deep].mean()) - means[0]) < 1e-6


def test_a_new_background_is_followed_within_seconds(photograph: Photograph) -> None:
    image, alpha = photograph
    _, deep, _ = rings(alpha)
    composer = Composer(Look(match_colour=1))
    frames = [in_format(image, "yuv420p", index) for index in range(101)]
    dark = [composer(frame, alpha, plain(NIGHT))[0][deep].mean() for frame in frames[:2]]
    light = [composer(frame, alpha, plain(WHITE))[0][deep].mean() for frame in frames[2:]]
    fresh = Composer(Look(match_colour=1))(frames[0], alpha, plain(WHITE))[0][deep].mean()
    assert abs(dark[1] - dark[0]) < 0.01
    assert light[0] - dark[1] < 0.1 * (fresh - dark[1])
    assert light[-1] - dark[1] > 0.9 * (fresh - dark[1])


# The blurred room.


def test_the_stronger_the_blur_the_less_detail(photograph: Photograph) -> None:
    image, alpha = photograph
    for format in ("bgr24", "yuv420p"):
        frame = in_format(image, format)
        detail = []
        for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
            shown = composed(frame, alpha, BlurBackground(), Look(blur_strength=strength))
            room = shown[:, 450:].mean(axis=2)
            detail.append(float(np.abs(np.diff(room, axis=1)).mean()))
        assert detail == sorted(detail, reverse=True)
        original = np.abs(np.diff(image[:, 450:].mean(axis=2), axis=1)).mean()
        assert 0.3 * original < detail[0] < original
        assert detail[-1] < 0.6 * detail[2]


def test_half_the_strength_is_the_usual_blur(photograph: Photograph) -> None:
    image, alpha = photograph
    frame = in_format(image, "yuv420p")
    usual = BlurBackground().planes(frame, alpha)
    for plane, expected in zip(BlurBackground(0.5).planes(frame, alpha), usual, strict=True):
        np.testing.assert_array_equal(plane, expected)


def test_with_falloff_the_near_is_sharper_and_the_far_is_not(photograph: Photograph) -> None:
    """Stripes all over the room, as far as one can see."""
    _, alpha = photograph
    stripes = np.where(np.arange(640) // 12 % 2, 200, 60).astype(np.uint8)
    frame = bgr_frame(np.repeat(np.tile(stripes, (480, 1))[..., None], 3, 2))
    even, falling = (
        BlurBackground(0.3, falloff=falloff).planes(frame, alpha)[0][..., 0].astype(float)
        for falloff in (False, True)
    )
    away = cv2.distanceTransform((alpha < 0.1).astype(np.uint8), cv2.DIST_L2, 3)
    near, far = (away > 25) & (away < 60), away > 0.5 * 480
    assert falling[near].std() > 1.5 * even[near].std()
    assert abs(falling[far].std() - even[far].std()) < 0.1 * even[far].std() + 0.1


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("falloff", [False, True])
def test_no_blur_shows_the_person_behind_itself(
    strength: float, falloff: bool, photograph: Photograph
) -> None:
    """The person in red, which nothing in the room is."""
    _, alpha = photograph
    share = alpha[..., None]
    red = np.rint(share * np.float32([0, 0, 255]) + (1 - share) * 120).astype(np.uint8)
    planes = BlurBackground(strength, falloff=falloff).planes(bgr_frame(red), alpha)
    room = planes[0].astype(int)
    assert (room.max(axis=2) - room.min(axis=2)).max() <= 4


# The edge's own colour.


def test_the_old_rooms_colour_leaves_the_hair(photograph: Photograph) -> None:
    """The astronaut before a green wall, put before a grey one, against the truth."""
    image, alpha = photograph
    share = alpha[..., None]
    person = blur_fusion(image.astype(np.float32), alpha, (20, 4))
    before_green = np.rint(person * share + (1 - share) * np.float32([40, 200, 60]))
    truth = person * share + (1 - share) * 128
    grey = np.full_like(image, 128)
    frame = before_green.astype(np.uint8)
    (found,) = blend((frame,), alpha, (grey,))
    naive = frame * share + (1 - share) * 128
    mixed = (alpha > 0.05) & (alpha < 0.95)
    errors = [np.abs(each - truth)[mixed].mean() for each in (found, naive)]
    assert errors[0] < 0.85 * errors[1]  # 0.79 with the network's own, soft alpha


# All of it together.


@given(formats, sides, sides, st.integers(0, 99), st.floats(0, 1), st.booleans())
def test_any_frame_comes_out_in_its_own_kind(
    format: PixelFormat, width: int, height: int, seed: int, amount: float, falloff: bool
) -> None:
    rng = np.random.default_rng(seed)
    alpha = rng.random((height, width), np.float32)
    composer = Composer(Look(amount, amount, amount, falloff))
    for background in (BlurBackground(), plain(ORANGE)):
        for index in range(2):
            planes = random_planes(format, width, height, seed)
            kept = [plane.copy() for plane in planes]
            frame = frame_of(planes, format, index=index)
            result = composer(frame, alpha, background)
            assert [plane.shape for plane in result] == [plane.shape for plane in planes]
            assert {plane.dtype for plane in result} == {np.dtype(np.uint8)}
            for plane, before in zip(planes, kept, strict=True):
                np.testing.assert_array_equal(plane, before)


def test_the_look_changes_from_one_frame_to_the_next(
    photograph: Photograph, brightness_model: Path
) -> None:
    image, _ = photograph
    with VirtualBackground("#ffffff", model=brightness_model) as effect:
        first = effect(image)
        effect.look = Look(light_wrap=1, match_colour=1)
        second = effect(image)
        effect.look = Look()
        third = effect(image)
    assert np.abs(second.astype(int) - first).max() > 20
    np.testing.assert_array_equal(third, first)


@pytest.mark.parametrize("values", [(-0.1, 0, 0), (0, 1.1, 0), (0, 0, float("nan"))])
def test_what_is_no_share_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="expected 0 to 1"):
        Look(*values)


def test_a_transparent_output_takes_no_light_from_a_background() -> None:
    for look in (Look(light_wrap=0.5), Look(match_colour=0.5)):
        with pytest.raises(UserError, match="transparent"):
            Job(Path("a.mp4"), Path("a.webm"), "transparent", look=look)

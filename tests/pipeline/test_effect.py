"""The effect on single pictures and frames: what a program that embeds it relies on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import PERSON, ROOM, hopping, person_in_room
from frames import FORMATS, frame_of
from hypothesis import given, settings
from hypothesis import strategies as st

import seg_stream.pipeline
from seg_stream.pipeline import MatteSettings, SegStreamError, UserError, VirtualBackground
from seg_stream.pipeline.frame import PixelFormat

GREEN = (0x40, 0xB1, 0x00)


@pytest.fixture
def effect(brightness_model: Path) -> Iterator[VirtualBackground]:
    with VirtualBackground("#00b140", model=brightness_model) as effect:
        yield effect


def photo(shift: int = 0) -> np.ndarray:
    """A bright disc in a dark room, both with some grain."""
    image = np.full((240, 320, 3), (60, 40, 30), np.uint8)
    cv2.circle(image, (160 + shift, 120), 70, (150, 190, 240), cv2.FILLED)
    return image + np.random.default_rng(1).integers(0, 8, image.shape, np.uint8)


def masks(shift: int = 0, margin: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Where the person surely is, and where surely not."""
    distance = np.hypot(*(np.mgrid[:240, :320].transpose(1, 2, 0) - (120, 160 + shift)).T).T
    return distance < 70 - margin, distance > 70 + margin


def test_the_person_keeps_its_bytes_and_the_room_is_replaced(effect: VirtualBackground) -> None:
    image = photo()
    result = effect(image)
    person, room = masks()
    np.testing.assert_array_equal(result[person], image[person])
    assert (result[room] == GREEN).all()
    assert (result.shape, result.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_holds_in_every_pixel_format(
    format: PixelFormat, effect: VirtualBackground
) -> None:
    if format == "bgr24":
        image = np.full((64, 96, 3), (60, 40, 30), np.uint8)
        image[16:48, 32:64] = (150, 190, 240)
        planes: tuple[Any, ...] = (image,)
    else:
        planes = person_in_room(format)
    result = effect.process(frame_of(planes, format))
    assert (result.format, result.pts, result.index) == (format, 0, 0)
    for plane, before in zip(result.planes, planes, strict=True):
        down, across = 64 // plane.shape[0], 96 // plane.shape[1]
        inside = np.index_exp[26 // down : 38 // down, 42 // across : 54 // across]
        np.testing.assert_array_equal(plane[inside], before[inside])
        corner = plane[: 4 // down, : 16 // across]
        assert (corner == corner[0, 0]).all()
        assert (corner[0, 0] != before[0, 0]).any()


def test_each_mask_goes_with_its_own_picture(effect: VirtualBackground) -> None:
    for shift in (0, 80, -80, 40, -60, 0):
        image = photo(shift)
        result = effect(image)
        person, room = masks(shift)
        np.testing.assert_array_equal(result[person], image[person])
        assert (result[room] == GREEN).all()


def test_a_mirrored_or_cropped_view_is_as_good_as_a_copy(brightness_model: Path) -> None:
    wide = np.dstack([photo(), photo()])[:, ::-1, 1:4]
    views = [photo()[:, ::-1], photo()[::-1], photo()[10:200, 20:300], photo()[:, :, ::-1], wide]
    for view in views:
        results = []
        for image in (view, np.ascontiguousarray(view)):
            with VirtualBackground("blur", model=brightness_model) as effect:
                results.append(effect(image))
        np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("background", ["blur", "#00b140"])
def test_the_picture_that_was_given_is_not_written_to(
    background: str, brightness_model: Path
) -> None:
    image = photo()
    image.flags.writeable = False
    kept = image.copy()
    with VirtualBackground(background, model=brightness_model) as effect:
        first = effect(image)
        assert not np.shares_memory(first, image)
        first_kept = first.copy()
        second = effect(photo(60))
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, first_kept)
    np.testing.assert_array_equal(image, kept)


@settings(max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_pictures_of_any_size_can_follow_each_other(
    width: int, height: int, any_size: VirtualBackground
) -> None:
    image = np.full((height, width, 3), 30, np.uint8)
    result = any_size(image)
    assert (result == GREEN).all()
    image[:] = 220
    np.testing.assert_array_equal(any_size(image), image)


@pytest.fixture(scope="module")
def any_size(brightness_model: Path) -> Iterator[VirtualBackground]:
    with VirtualBackground("#00b140", model=brightness_model) as effect:
        yield effect


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((20, 30), np.uint8),
        np.zeros((20, 30, 4), np.uint8),
        np.zeros((20, 30, 3), np.float32),
        np.zeros((20, 30, 3), np.int8),
        np.zeros((0, 30, 3), np.uint8),
        np.zeros((1, 20, 30, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_that_is_no_picture_is_refused(wrong: Any, effect: VirtualBackground) -> None:
    with pytest.raises(ValueError, match="expected uint8") as caught:
        effect(wrong)
    assert str(wrong.shape) in str(caught.value)
    effect(photo())


def test_settings_of_the_matte_are_taken(brightness_model: Path) -> None:
    """A wider, coarser edge filter leaves other pixels."""
    with VirtualBackground("#00b140", model=brightness_model) as effect:
        usual = effect(photo())
    settings = MatteSettings(edge_radius=12, edge_smoothness=1.0)
    with VirtualBackground("#00b140", model=brightness_model, matte=settings) as effect:
        assert (effect(photo()) != usual).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": 0.9, "high": 0.1},
        {"edge_radius": 10**6},
        {"steadiness": float("nan")},
        {"hold": float("nan")},
    ],
)
def test_settings_that_make_no_matte_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="expected"):
        MatteSettings(**wrong)


def test_the_engine_that_runs_is_named(effect: VirtualBackground) -> None:
    assert effect.engine.name.startswith("ONNX Runtime ")


def test_closing_twice_is_allowed_and_using_it_after_that_is_not(brightness_model: Path) -> None:
    with VirtualBackground("blur", model=brightness_model) as effect:
        effect(photo())
    effect.close()
    with pytest.raises(SegStreamError, match="closed"):
        effect(photo())


@pytest.mark.parametrize(
    "options",
    [{"background": "none.jpg"}, {"model": "none.onnx"}, {"engine": "abacus"}],
    ids=["background", "model", "engine"],
)
def test_what_cannot_be_used_is_said_at_once(
    options: dict[str, str], brightness_model: Path
) -> None:
    with pytest.raises(UserError):
        VirtualBackground(**{"model": brightness_model, **options})


def test_two_effects_do_not_disturb_each_other(brightness_model: Path) -> None:
    with (
        VirtualBackground("#00b140", model=brightness_model) as one,
        VirtualBackground("#ff0000", model=brightness_model) as two,
    ):
        for shift in (0, 50, -50):
            result, other = one(photo(shift)), two(photo(-shift))
            assert (result[masks(shift)[1]] == GREEN).all()
            assert (other[masks(-shift)[1]] == (0, 0, 255)).all()


def test_the_stages_one_by_one_are_the_whole(brightness_model: Path) -> None:
    frames = [frame_of(hopping(i), "yuv420p", index=i) for i in range(4)]
    with VirtualBackground("blur", model=brightness_model) as effect:
        whole = [effect.process(frame).planes for frame in frames]
    with VirtualBackground("blur", model=brightness_model) as effect:
        for frame, expected in zip(frames, whole, strict=True):
            item: Any = frame
            for stage in effect.stages:
                item = stage.call(item)
            for plane, other in zip(item.planes, expected, strict=True):
                np.testing.assert_array_equal(plane, other)


def test_the_default_model_is_used_if_none_is_named() -> None:
    with VirtualBackground("#00b140") as effect:
        result = effect(np.full((120, 160, 3), 128, np.uint8))
        assert effect.engine.info.name == "portrait-lite"
    assert result.shape == (120, 160, 3)


def test_the_package_offers_what_it_lists() -> None:
    for name in seg_stream.pipeline.__all__:
        assert getattr(seg_stream.pipeline, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        seg_stream.pipeline.nothing  # noqa: B018


def test_the_clips_colours_are_far_from_the_threshold() -> None:
    """The brightness model is sure about the test clips."""
    assert ROOM[0] + 40 < 128 < PERSON[0] - 40

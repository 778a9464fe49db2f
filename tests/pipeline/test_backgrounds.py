"""What stands behind the person: right colours, right shapes, right times, and no halo."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import solid, write_video, yuv_of
from frames import FORMATS, bgr_frame, formats, frame_of, plane_sizes, random_planes, sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.pipeline.backgrounds import Background, crop_to_fill, open_background
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame, PixelFormat

MATRIX = {"601": 6, "709": 1, "2020": 9}
NOBODY = np.zeros((64, 96), np.float32)


def empty(format: PixelFormat = "bgr24", width: int = 96, height: int = 64) -> Frame:
    return frame_of(random_planes(format, width, height, 0), format)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_is_exact_in_pictures(rgb: tuple[int, int, int]) -> None:
    background = open_background("#{:02x}{:02x}{:02x}".format(*rgb))
    (plane,) = background.planes(empty(), NOBODY)
    assert (plane == rgb[::-1]).all()


@given(
    st.tuples(*[st.integers(0, 255)] * 3),
    st.sampled_from(list(MATRIX)),
    st.booleans(),
    st.sampled_from(FORMATS[1:]),
)
def test_a_colour_is_right_to_a_step_in_video(
    rgb: tuple[int, int, int], matrix: str, full_range: bool, format: PixelFormat
) -> None:
    colour = Colour(MATRIX[matrix], 2 if full_range else 1)
    frame = frame_of(random_planes(format, 33, 21, 0), format, colour=colour)
    planes = open_background("#{:02X}{:02X}{:02X}".format(*rgb)).planes(frame, NOBODY)
    expected = yuv_of(rgb, matrix, full_range)
    for plane, value in zip(planes, expected, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


@given(formats, sides, sides)
def test_any_frame_gets_planes_of_its_own_sizes(
    format: PixelFormat, width: int, height: int
) -> None:
    frame = empty(format, width, height)
    alpha = np.random.default_rng(width).random((height, width), np.float32)
    for what in ("#00b140", "blur"):
        planes = open_background(what).planes(frame, alpha)
        assert [plane.shape for plane in planes] == [plane.shape for plane in frame.planes]
        assert {plane.dtype for plane in planes} == {np.dtype(np.uint8)}


@given(sides, sides, sides, sides)
def test_a_picture_covers_any_frame(width: int, height: int, to_width: int, to_height: int) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    filled = crop_to_fill(image, to_width, to_height)
    assert filled.shape == (to_height, to_width, 3)
    assert (filled == 77).all()


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (200, 200), (500, 120), (101, 99)])
@pytest.mark.parametrize("picture", [(400, 300), (300, 400), (90, 160)])
def test_a_circle_stays_round_and_in_the_middle(
    picture: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.zeros((picture[1], picture[0], 3), np.uint8)
    centre = (picture[0] // 2, picture[1] // 2)
    radius = min(picture) // 12
    cv2.circle(image, centre, radius, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)
    filled = crop_to_fill(image, *size)[:, :, 0] > 127
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    scale = max(size[0] / picture[0], size[1] / picture[1])
    diameter = (2 * radius + 1) * scale
    assert abs(len(rows) - diameter) <= 1 + scale
    assert abs(len(columns) - diameter) <= 1 + scale
    assert abs(rows.mean() - size[1] / 2) <= 1 + scale
    assert abs(columns.mean() - size[0] / 2) <= 1 + scale


def test_a_picture_of_the_frames_size_is_taken_byte_by_byte(tmp_path: Path) -> None:
    image = random_planes("bgr24", 96, 64, 4)[0]
    cv2.imwrite(str(tmp_path / "room.png"), image)
    (plane,) = open_background(str(tmp_path / "room.png")).planes(empty(), NOBODY)
    np.testing.assert_array_equal(plane, image)


def test_one_picture_serves_frames_of_every_kind_in_turn(tmp_path: Path) -> None:
    """A folder of pictures has many sizes; nothing of the last one may stay."""
    cv2.imwrite(str(tmp_path / "room.png"), np.full((50, 50, 3), (10, 200, 100), np.uint8))
    background = open_background(str(tmp_path / "room.png"))
    for width, height in [(20, 10), (10, 20), (20, 10), (31, 7)]:
        for format in FORMATS:
            for tag in (6, 1):
                frame = frame_of(
                    random_planes(format, width, height, 1), format, colour=Colour(tag, 1)
                )
                planes = background.planes(frame, np.zeros((height, width), np.float32))
                matrix = "601" if tag == 6 else "709"
                expected = yuv_of((100, 200, 10), matrix)
                if format == "bgr24":
                    assert (planes[0] == (10, 200, 100)).all()
                    continue
                sizes = plane_sizes(format, width, height)
                for plane, size, value in zip(planes, sizes, expected, strict=True):
                    assert plane.shape == size
                    assert np.abs(plane.astype(int) - value).max() <= 1


# The blurred room.


def person_and_alpha(
    width: int, height: int, *, x: float = 0.5, softness: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    """A saturated red person in a grey room, and how much of each pixel is person."""
    alpha = np.zeros((height, width), np.float32)
    cv2.ellipse(
        alpha, (round(x * width), height), (width // 5, round(0.7 * height)), 0, 0, 360, 1.0, -1
    )
    alpha = cv2.GaussianBlur(alpha, (softness, softness), 0)
    room = np.random.default_rng(1).integers(90, 160, (height // 8 + 1, width // 8 + 1), np.uint8)
    room = cv2.resize(room, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    image = alpha[..., None] * np.float32((0, 0, 255)) + (1 - alpha[..., None]) * room
    return np.rint(image).astype(np.uint8), alpha


@pytest.mark.parametrize("x", [0.5, 0.05, 1.0])
@pytest.mark.parametrize("size", [(320, 180), (1280, 720), (161, 121)])
def test_the_blurred_room_has_no_colour_of_the_person(size: tuple[int, int], x: float) -> None:
    image, alpha = person_and_alpha(*size, x=x)
    frame = bgr_frame(image)
    (room,) = open_background("blur").planes(frame, alpha)
    colour = room.astype(int).max(axis=2) - room.min(axis=2)
    assert colour.max() <= 4, "the person shines through behind itself"
    (result,) = blend(frame.planes, alpha, (room,))
    outside = alpha < 1 / 512
    assert (result.astype(int).max(axis=2) - result.min(axis=2))[outside].max() <= 4


@pytest.mark.parametrize("format", FORMATS[1:])
def test_nor_in_the_planes_of_a_video(format: PixelFormat) -> None:
    _, alpha = person_and_alpha(320, 180)
    planes = []
    for size, person, room in zip(
        plane_sizes(format, 320, 180), (81, 90, 240), (120, 128, 128), strict=True
    ):
        part = cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_AREA)
        planes.append(np.rint(part * person + (1 - part) * room).astype(np.uint8))
    result = open_background("blur").planes(frame_of(tuple(planes), format), alpha)
    for plane, room in zip(result, (120, 128, 128), strict=True):
        assert np.abs(plane.astype(int) - room).max() <= 3


def test_the_room_is_out_of_focus_but_keeps_its_light() -> None:
    checks = (np.indices((360, 640)) // 6).sum(axis=0) % 2 * 200 + 20
    image = np.dstack([checks] * 3).astype(np.uint8)
    image[:, 320:] //= 2  # one half is darker
    (room,) = open_background("blur").planes(bgr_frame(image), np.zeros((360, 640), np.float32))
    assert room[:, :250].std() < 3
    for half in (slice(0, 250), slice(390, 640)):
        assert abs(room[:, half].mean() - image[:, half].mean()) < 3


def test_nobody_and_nothing_but_a_person_are_no_trouble() -> None:
    image = random_planes("bgr24", 160, 120, 3)[0]
    for alpha in (0.0, 1.0):
        whole = np.full((120, 160), alpha, np.float32)
        (room,) = open_background("blur").planes(bgr_frame(image), whole)
        assert room.shape == image.shape
    grey = np.full((120, 160, 3), 90, np.uint8)
    (room,) = open_background("blur").planes(bgr_frame(grey), np.zeros((120, 160), np.float32))
    assert np.abs(room.astype(int) - 90).max() <= 1


# A video behind the person.


@pytest.fixture
def greys(tmp_path: Path) -> Callable[..., Background]:
    """Open a background video of plain greys: 20, 40, 60 …"""

    def make(count: int, rate: int = 10, **options: object) -> Background:
        pictures = [solid("yuv420p", 96, 64, (20 * (i + 1), 128, 128)) for i in range(count)]
        path = write_video(tmp_path / "greys.mp4", pictures, rate=rate, **options)
        return open_background(str(path))

    return make


def shown(background: Background, time_s: float | Fraction) -> int:
    """Which picture of `greys` stands behind a frame of that time."""
    frame = frame_of(random_planes("yuv420p", 96, 64, 0), "yuv420p", time_s=Fraction(time_s))
    return round(float(background.planes(frame, NOBODY)[0].mean()) / 20) - 1


def test_a_video_runs_by_the_clock_of_the_frames(greys: Callable[..., Background]) -> None:
    background = greys(10)
    times = [Fraction(i, 1000) for i in (0, 50, 99, 100, 101, 450, 500, 999)]
    assert [shown(background, time) for time in times] == [0, 0, 0, 1, 1, 4, 5, 9]
    background.close()


def test_a_video_begins_with_the_first_frame_whenever_that_is(
    greys: Callable[..., Background],
) -> None:
    background = greys(5, times=[30 + i for i in range(5)])
    assert [shown(background, 100 + Fraction(i, 10)) for i in range(5)] == [0, 1, 2, 3, 4]
    background.close()


@pytest.mark.parametrize("rate", [10, 25, 30])
def test_a_video_starts_again_after_its_last_frame_was_shown_as_long_as_the_others(
    rate: int, greys: Callable[..., Background]
) -> None:
    background = greys(4, rate)
    assert shown(background, 0) == 0
    steps = [shown(background, Fraction(2 * i + 1, 2 * rate)) for i in range(18)]
    assert steps == [i % 4 for i in range(18)]
    background.close()


def test_after_a_long_gap_it_goes_on_where_it_was(greys: Callable[..., Background]) -> None:
    background = greys(12, rate=5)
    assert shown(background, 0) == 0
    assert shown(background, Fraction(41, 100)) == 2
    assert shown(background, 3600) == 7  # one second on, without catching up an hour
    assert shown(background, Fraction(36004, 10)) == 9
    background.close()


def test_a_frame_from_before_the_last_one_does_not_move_it(
    greys: Callable[..., Background],
) -> None:
    background = greys(7)
    times = (0, Fraction(3, 10), 0, Fraction(1, 10))
    assert [shown(background, time) for time in times] == [0, 3, 3, 4]
    background.close()


def test_a_video_of_one_picture_is_a_picture(greys: Callable[..., Background]) -> None:
    background = greys(1)
    assert [shown(background, Fraction(i, 7)) for i in range(20)] == [0] * 20
    background.close()


def open_files() -> int:
    """Open files of this process, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_many_rounds_leave_no_file_open(greys: Callable[..., Background]) -> None:
    background = greys(2)
    shown(background, 0)
    before = open_files()
    for i in range(100):
        shown(background, Fraction(i, 5))
    assert open_files() <= before + 1
    background.close()
    background.close()


@pytest.mark.parametrize("what", ["", "#", "#fff", "#gggggg", "#0000000", "00b140", "blurred"])
def test_anything_else_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="background"):
        open_background(what)


@pytest.mark.parametrize("level", [0.5, 0.9, 1.0])
def test_a_blurred_room_that_is_nowhere_seen_keeps_the_pictures_colour(level: float) -> None:
    planes = tuple(np.full(size, value, np.uint8) for size, value in
                   zip(plane_sizes("yuv420p", 320, 180), (120, 100, 150), strict=True))  # fmt: skip
    alpha = np.full((180, 320), level, np.float32)
    alpha[:, 300:] = 1 - level  # some room at the right edge, or none
    background = open_background("blur").planes(frame_of(planes, "yuv420p"), alpha)
    for plane, expected in zip(background, (120, 100, 150), strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1

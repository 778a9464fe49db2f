"""Videos whose display matrix turns or mirrors them come out as players show them."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import numpy as np
import pytest
from clips import hopping, picture_of, read_video, write_video

from seg_stream.pipeline import convert
from seg_stream.pipeline.describe import describe
from seg_stream.pipeline.sources import open_file

ONE = 1 << 16
BT601 = (5, 1, 5, 6)

MATRICES = {
    "upright": (1, 0, 0, 1), "mirrored": (-1, 0, 0, 1), "turned by 180 degrees": (-1, 0, 0, -1),
    "mirrored and turned by 180 degrees": (1, 0, 0, -1),
    "turned by 270 degrees": (0, 1, -1, 0), "turned by 90 degrees": (0, -1, 1, 0),
    "mirrored and turned by 90 degrees": (0, 1, 1, 0),
    "mirrored and turned by 270 degrees": (0, -1, -1, 0),
}  # fmt: skip
"""(a, b, c, d): x becomes a·x + c·y, y becomes b·x + d·y."""


def place(matrix: tuple[int, int, int, int], plane: np.ndarray) -> np.ndarray:
    """Pixel by pixel as libavutil/display.h says, then shifted back into the picture."""
    a, b, c, d = matrix
    rows, columns = plane.shape
    moved = {
        (b * x + d * y, a * x + c * y): plane[y, x] for y in range(rows) for x in range(columns)
    }
    top, left = (min(at[axis] for at in moved) for axis in (0, 1))
    shape = (rows, columns) if a else (columns, rows)
    result = np.zeros(shape, plane.dtype)
    for (y, x), value in moved.items():
        result[y - top, x - left] = value
    return result


def write(path: Path, matrix: tuple[int, int, int, int], format: str) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(3)
    down, across = (2 if format == "yuv420p" else 1), (1 if format == "yuv444p" else 2)
    sizes = [(48, 64), (48 // down, 64 // across), (48 // down, 64 // across)]
    planes = tuple(rng.integers(60, 190, size).astype(np.uint8) for size in sizes)
    a, b, c, d = (value * ONE for value in matrix)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, format
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        container.mux(stream.encode(picture_of(planes, format, BT601)))
        container.mux(stream.encode(None))
    return planes


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("words", MATRICES)
def test_every_orientation_is_as_the_matrix_says(words: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    planes = write(path, MATRICES[words], format)
    with open_file(path) as source:
        (frame,) = source
        assert (source.width, source.height) == (frame.width, frame.height)
    np.testing.assert_array_equal(frame.planes[0], place(MATRICES[words], planes[0]))
    if format != "yuv422p":  # a turned one becomes 4:4:4
        for got, was in zip(frame.planes[1:], planes[1:], strict=True):
            np.testing.assert_array_equal(got, place(MATRICES[words], was))
    assert describe(path).orientation == ("" if words == "upright" else words)


def test_a_mirrored_video_is_converted_mirrored(tmp_path: Path, brightness_model: Path) -> None:
    path = tmp_path / "selfie.mp4"
    planes = write(path, MATRICES["mirrored"], "yuv420p")
    convert(path, tmp_path / "out.mp4", background="#00b140", model=brightness_model)
    (shown,) = read_video(tmp_path / "out.mp4")
    assert shown.picture.rotation == 0
    assert shown.planes[0].shape == planes[0].shape


def test_frames_that_nobody_holds_are_freed_at_once(tmp_path: Path) -> None:
    """Not when the collector comes by: it comes rarely, and a frame is large."""
    clip = write_video(tmp_path / "clip.mp4", [hopping(i) for i in range(40)])
    gc.collect()
    gc.disable()
    try:
        before = video_frames()
        with open_file(clip) as source:
            for _ in source:
                pass
            held = video_frames() - before
    finally:
        gc.enable()
    assert held < 10


def video_frames() -> int:
    """How many there are, those of other tests too."""
    return sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())

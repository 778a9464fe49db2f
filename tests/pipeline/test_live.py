"""Camera, preview window, and live runs.

There is no camera where the tests run: OpenCV's own capture reads a file in its place.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest
from clips import read_video, write_video
from clips import solid as solid_planes

from seg_stream.pipeline import UserError, VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.outputs import SinkOptions, open_sink
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources import Source
from seg_stream.pipeline.sources.camera import CameraSource
from seg_stream.pipeline.stream import stream

REAL_CAPTURE = cv2.VideoCapture


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CameraSource]:
    """A camera of so many pictures, each brighter than the one before; then it is unplugged."""

    def plug_in(count: int = 30, width: int = 1280, height: int = 720) -> CameraSource:
        pictures = (
            solid_planes("yuvj420p", width, height, (i * 4, 128, 128)) for i in range(count)
        )
        path = write_video(
            tmp_path / "camera.avi", pictures, "yuvj420p", codec="mjpeg", colour=(5, 2, 2, 2)
        )
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: REAL_CAPTURE(str(path)))
        monkeypatch.setattr("seg_stream.pipeline.sources.camera.PATIENCE_S", 0.2)
        return CameraSource(0)

    return plug_in


class Paced(Source):
    """A camera with the pauses of a real one; a file has none."""

    live = True

    def __init__(self, inner: Source, pause_s: float) -> None:
        super().__init__()
        self._inner, self._pause_s = inner, pause_s

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._inner:
            time.sleep(self._pause_s)
            yield frame

    def close(self) -> None:
        self._inner.close()


class Slow(Sink):
    """Takes its time and keeps what it saw."""

    def __init__(self, pause_s: float = 0.0) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self._pause_s = pause_s

    def write(self, frame: Frame) -> None:
        time.sleep(self._pause_s)
        self.frames.append(frame)

    def finish(self) -> None:
        pass

    def discard(self) -> None:
        pass


def test_a_camera_gives_pictures_with_their_times(camera: Callable[..., CameraSource]) -> None:
    seen: list[Frame] = []
    with camera(12) as source:
        assert (source.width, source.height, source.live) == (1280, 720, True)
        assert source.rate == 25
        assert "1280x720 MJPG at 25 fps instead of 1280x720 MJPG at 30 fps" in source.notes[0]
        seen += source
        assert "Camera 0 stopped giving pictures" in source.notes[1]
    assert [frame.index for frame in seen] == list(range(11))  # the first picture opened it
    assert all(after.pts > before.pts for before, after in pairwise(seen))
    assert {frame.time_base for frame in seen} == {Fraction(1, 1_000_000)}
    levels = [int(frame.planes[0].mean()) for frame in seen]
    assert levels == sorted(set(levels))


def test_a_camera_of_another_size_says_so(camera: Callable[..., CameraSource]) -> None:
    with camera(3, 640, 480) as source:
        assert (source.width, source.height) == (640, 480)
        assert len(source.notes) == 1
        assert "640x480 MJPG at 25 fps instead of 1280x720" in source.notes[0]


def test_a_camera_that_gives_nothing_is_refused_and_given_back(
    camera: Callable[..., CameraSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera(3, 64, 48).close()
    capture = REAL_CAPTURE(str(tmp_path / "camera.avi"))
    while capture.read()[0]:
        pass
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: capture)
    with pytest.raises(UserError, match="Camera 0 opens but gives no picture"):
        CameraSource(0)
    assert not capture.isOpened()


def test_an_unplugged_camera_ends_the_run_and_what_was_recorded_stays(
    camera: Callable[..., CameraSource], brightness_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "recording.mkv"
    with (
        camera(10, 320, 240) as source,
        VirtualBackground("#00b140", model=brightness_model) as effect,
        open_sink(source, output, SinkOptions()) as sink,
    ):
        summary = stream(source, effect, [sink])
    assert "is it unplugged" in summary.notes[-1]
    assert not summary.stopped
    assert len(read_video(output)) == summary.run.items > 0


def test_a_slow_sink_gets_the_newest_pictures(
    camera: Callable[..., CameraSource], brightness_model: Path
) -> None:
    stop = Event()
    sink = Slow(0.03)

    def until_seven(*_: object) -> None:
        if len(sink.frames) == 7:
            stop.set()

    with (
        camera(60, 160, 120) as source,
        VirtualBackground("#00b140", model=brightness_model) as effect,
    ):
        summary = stream(Paced(source, 0.005), effect, [sink], stop=stop, progress=until_seven)
    assert summary.stopped
    assert summary.run.dropped > 0
    assert summary.run.items == len(sink.frames) >= 7
    indices = [frame.index for frame in sink.frames]
    assert indices == sorted(set(indices))
    assert summary.run.items + summary.run.dropped == indices[-1] + 1


def test_a_live_run_can_be_recorded(
    camera: Callable[..., CameraSource], brightness_model: Path, tmp_path: Path
) -> None:
    stop = Event()
    output = tmp_path / "out.mp4"
    with (
        camera(60, 320, 240) as source,
        VirtualBackground("#00b140", model=brightness_model) as effect,
        open_sink(source, output, SinkOptions()) as sink,
    ):
        summary = stream(
            Paced(source, 0.01),
            effect,
            [sink],
            stop=stop,
            progress=lambda report, _: stop.set() if report.items == 15 else None,
        )
    shown = read_video(output)
    assert len(shown) == summary.run.items >= 15
    times = [float(one.time_s) for one in shown]
    assert times == sorted(set(times))
    assert shown[0].picture.colorspace == 1
    pause = np.diff(times).min()
    assert pause > 0.005, "the times are not those of the camera"


def test_without_a_screen_the_window_says_so_instead_of_aborting() -> None:
    """In a process of its own: where Qt finds no display it ends the process."""
    code = (
        "from threading import Event\n"
        "from seg_stream.pipeline.errors import UserError\n"
        "from seg_stream.pipeline.sinks.window import WindowSink\n"
        "try:\n    WindowSink(Event())\nexcept UserError as error:\n    print(error)\n"
    )
    bare = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    for extra in ({}, {"QT_QPA_PLATFORM": "offscreen"}, {"QT_QPA_PLATFORM": "wayland"}):
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={**bare, **extra},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "no screen" in result.stdout

"""Live runs, the preview window, and a camera through OpenCV.

There is no camera where the tests run: a fake one stands in, and OpenCV's own capture reads a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest
from clips import read_video, write_video
from clips import solid as solid_planes

from seg_stream.benchmarks.fake_camera import FakeCamera, Mishap, read_number
from seg_stream.pipeline import UserError, VirtualBackground
from seg_stream.pipeline.outputs import SinkOptions, open_sink
from seg_stream.pipeline.sources.contract import FeedLostError
from seg_stream.pipeline.sources.opencv_camera import OpenCvFeed
from seg_stream.pipeline.sources.reconnecting import LiveSource
from seg_stream.pipeline.stream import stream

REAL_CAPTURE = cv2.VideoCapture


@pytest.fixture
def opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenCvFeed]:
    """A camera of so many pictures, each brighter than the one before."""

    def plug_in(count: int = 30, width: int = 1280, height: int = 720) -> OpenCvFeed:
        pictures = (
            solid_planes("yuvj420p", width, height, (i * 4, 128, 128)) for i in range(count)
        )
        path = write_video(
            tmp_path / "camera.avi", pictures, "yuvj420p", codec="mjpeg", colour=(5, 2, 2, 2)
        )
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: REAL_CAPTURE(str(path)))
        return OpenCvFeed(0, 1280, 720, 30)

    return plug_in


def test_opencv_gives_a_cameras_pictures(opencv: Callable[..., OpenCvFeed]) -> None:
    with opencv(12) as feed:
        assert (feed.width, feed.height, feed.rate) == (1280, 720, 25)
        assert feed.mode == "1280x720 MJPG at 25 fps"
        assert "gives 1280x720 MJPG at 25 fps instead of 1280x720 at 30 fps" in feed.notes[0]
        levels = []
        while shot := feed.read(0.05):
            levels.append(int(shot.picture.to_ndarray().mean()))
        assert levels == sorted(set(levels))
        assert len(levels) == 11  # the first picture opened it
        feed.close()
        with pytest.raises(FeedLostError):
            feed.read(0.05)


def test_opencv_cameras_of_another_size_say_so(opencv: Callable[..., OpenCvFeed]) -> None:
    with opencv(3, 640, 480) as feed:
        assert (feed.width, feed.height) == (640, 480)
        assert len(feed.notes) == 1
        assert "640x480 MJPG at 25 fps instead of 1280x720" in feed.notes[0]


def test_a_camera_that_gives_nothing_is_refused_and_given_back(
    opencv: Callable[..., OpenCvFeed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opencv(3, 64, 48).close()
    capture = REAL_CAPTURE(str(tmp_path / "camera.avi"))
    while capture.read()[0]:
        pass
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: capture)
    monkeypatch.setattr("seg_stream.pipeline.sources.opencv_camera.PATIENCE_S", 0.2)
    with pytest.raises(UserError, match="Camera 0 opens but gives no picture"):
        OpenCvFeed(0, 1280, 720, 30)
    assert not capture.isOpened()


def test_an_unplugged_camera_ends_the_run_and_what_was_recorded_stays(
    brightness_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seg_stream.pipeline.sources.reconnecting.PATIENCE_S", 0.3)
    output = tmp_path / "recording.mkv"
    with VirtualBackground("#00b140", model=brightness_model) as effect:
        camera = FakeCamera((320, 240), 30, [Mishap(0.5, "unplug", 99)])
        with (
            LiveSource(camera.connect) as source,
            open_sink(source, output, SinkOptions()) as sink,
        ):
            summary = stream(source, effect, [sink])
    assert "is unplugged" in summary.notes[-1]
    assert not summary.stopped
    assert len(read_video(output)) == summary.run.items > 0


def test_a_live_run_can_be_recorded(brightness_model: Path, tmp_path: Path) -> None:
    stop = Event()
    output = tmp_path / "out.mp4"
    camera = FakeCamera((320, 240), 30)
    with (
        VirtualBackground("#00b140", model=brightness_model) as effect,
        LiveSource(camera.connect) as source,
        open_sink(source, output, SinkOptions()) as sink,
    ):
        summary = stream(
            source,
            effect,
            [sink],
            stop=stop,
            progress=lambda report, _: stop.set() if report.items == 15 else None,
        )
    shown = read_video(output)
    assert len(shown) == summary.run.items >= 15
    numbers = [read_number(one.planes[0]) for one in shown]
    assert None not in numbers
    for one, number in zip(shown, numbers, strict=True):  # the times are the camera's
        taken_s = camera.taken_s(number or 0) - camera.taken_s(numbers[0] or 0)
        assert float(one.time_s - shown[0].time_s) == pytest.approx(taken_s, abs=0.001)
    assert shown[0].picture.colorspace == 5
    assert np.abs(shown[0].bgr()[5, 5].astype(int) - (0x40, 0xB1, 0x00)).max() <= 6


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

"""The virtual camera: pyvirtualcam's own front, with a back end that keeps what it is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from seg_stream.pipeline.colour import FULL_RANGE, Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import bgr_to_planes
from seg_stream.pipeline.sinks import virtual_camera
from seg_stream.pipeline.sinks.virtual_camera import VirtualCameraSink

pyvirtualcam = pytest.importorskip(
    "pyvirtualcam", reason="needs the virtualcam extra (pyvirtualcam)"
)


class Backend:
    """Stands in for v4l2loopback: the "device" is a file."""

    device_name = ""
    sent: list[np.ndarray[Any, np.dtype[np.uint8]]] = []  # noqa: RUF012

    def __init__(self, *, width: int, height: int, device: str | None, **_: Any) -> None:
        self.size, self.closed = (width, height), False

    def send(self, frame: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        Backend.sent.append(frame.copy())

    def device(self) -> str:
        return Backend.device_name

    def native_fourcc(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    device = tmp_path / "video10"
    device.touch()
    Backend.device_name, Backend.sent = str(device), []
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"fake": Backend})
    yield device


def frame(width: int, height: int, level: int = 180, colour: Colour | None = None) -> Frame:
    odd = (width | height) % 2
    side = (height, width) if odd else (height // 2, width // 2)
    planes = (
        np.full((height, width), level, np.uint8),
        np.full(side, 90, np.uint8),
        np.full(side, 160, np.uint8),
    )
    return Frame(
        0,
        planes,
        "yuv444p" if odd else "yuv420p",
        colour or Colour(5, FULL_RANGE),
        0,
        Fraction(1, 30),
        0.0,
    )


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("size", "sent"), [((64, 48), (64, 48)), ((65, 49), (64, 48)), ((1280, 720), (1280, 720))]
)
def test_frames_arrive_in_even_size_and_limited_range(
    size: tuple[int, int], sent: tuple[int, int]
) -> None:
    given = frame(*size)
    with VirtualCameraSink(*size, Fraction(30)) as sink:
        sink.write(given)
    width, height = sent
    (data,) = Backend.sent
    assert data.size == width * height * 3 // 2
    luma, blue, red = np.split(data, [width * height, width * height * 5 // 4])
    # BT.601: full to limited range.
    assert abs(int(np.median(luma)) - round(16 + 180 * 219 / 255)) <= 1
    assert abs(int(np.median(blue)) - round(128 + (90 - 128) * 224 / 255)) <= 1
    assert abs(int(np.median(red)) - round(128 + (160 - 128) * 224 / 255)) <= 1


@pytest.mark.usefixtures("loopback")
def test_another_matrix_becomes_what_programs_expect() -> None:
    """BT.709 green is another pair of numbers in BT.601; the colour must stay."""
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (30, 180, 60), np.uint8), "bgr24")
    colour = Colour(1, 1)
    planes = bgr_to_planes(picture.to_ndarray(), "yuv420p", colour)
    given = Frame(0, planes, "yuv420p", colour, 0, Fraction(1, 30), 0.0)
    with VirtualCameraSink(64, 48, Fraction(30)) as sink:
        sink.write(given)
    data = Backend.sent[0].reshape(72, 64)
    back = av.VideoFrame.from_ndarray(data, "yuv420p").reformat(
        format="bgr24", src_colorspace=5, src_color_range=1
    )
    assert np.abs(back.to_ndarray().mean((0, 1)) - (30, 180, 60)).max() < 8, (
        "without the conversion it is 20"
    )


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see who watches")
def test_it_tells_whether_another_program_watches(
    loopback: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_camera, "LOOK_S", 0.0)
    code = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with VirtualCameraSink(64, 48, Fraction(30)) as sink:
        sink.write(frame(64, 48))
        assert not sink.watched
        with subprocess.Popen(
            [sys.executable, "-c", code, str(loopback)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as meeting:
            assert meeting.stdout and meeting.stdin
            meeting.stdout.readline()
            sink.write(frame(64, 48))
            assert sink.watched
            meeting.stdin.close()
            meeting.wait()
        sink.write(frame(64, 48))
        assert not sink.watched


@pytest.mark.parametrize(
    ("platform", "command"),
    [("linux", "sudo modprobe v4l2loopback"), ("darwin", "brew install"), ("win32", "winget")],
)
def test_where_there_is_none_the_command_is_named(
    platform: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def __init__(self, **_: Any) -> None:
            raise RuntimeError("No v4l2 loopback device found")

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"none": Nothing})
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(UserError, match="There is no virtual camera") as caught:
        VirtualCameraSink(64, 48, Fraction(30))
    assert command in str(caught.value)
    assert str(caught.value).count(".") - str(caught.value).count("OBS.") <= 2


def test_a_device_that_is_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def __init__(self, **_: Any) -> None:
            raise RuntimeError("Device or resource busy")

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"busy": Busy})
    device = tmp_path / "video3"
    device.touch()
    with pytest.raises(UserError, match="video3 cannot be used") as caught:
        VirtualCameraSink(64, 48, Fraction(30), device=str(device))
    assert "busy" in str(caught.value)

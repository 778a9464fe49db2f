"""Cameras: which mode is taken and why, one found again, and Video4Linux2 itself.

The driver is a stand-in, which OpenCV's own reader takes for a camera; where the machine has a
v4l2loopback device, that is read too.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest
from fake_driver import USABLE, WHY_NOT, FakeDriver, compile_c

from seg_stream.pipeline.device_users import users
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources import v4l2_api as api
from seg_stream.pipeline.sources.camera import mode_lines, open_live
from seg_stream.pipeline.sources.camera_mode import Mode, choose, explain
from seg_stream.pipeline.sources.cameras import Camera, cameras, find, find_again

needs_driver = pytest.mark.skipif(not USABLE, reason=WHY_NOT)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("driver") / "driver.so"
    return compile_c(Path(__file__).with_name("fake_v4l2.c"), target, "-shared", "-fPIC")


@pytest.fixture
def driver(tmp_path: Path, library: Path) -> FakeDriver:
    driver = FakeDriver(tmp_path / "machine", library)
    driver.plug()
    return driver


def modes(*texts: str) -> list[Mode]:
    found = []
    for text in texts:
        fourcc, size, rate = text.split()
        width, height = map(int, size.split("x"))
        found.append(Mode(fourcc, width, height, Fraction(rate)))
    return found


WEBCAM = modes(
    "YUYV 640x480 30", "YUYV 1280x720 10", "MJPG 640x480 30", "MJPG 1280x720 30", "MJPG 1280x720 15"
)


@pytest.mark.parametrize(
    ("offered", "best"),
    [
        (WEBCAM, "MJPG 1280x720 30"),
        (modes("YUYV 1280x720 30", "MJPG 1280x720 30"), "YUYV 1280x720 30"),
        (modes("YUYV 640x480 30", "YUYV 1280x720 10"), "YUYV 640x480 30"),
        (modes("YUYV 1280x720 10"), "YUYV 1280x720 10"),
        (modes("H264 1280x720 30", "MJPG 640x480 30"), "MJPG 640x480 30"),
        (modes("MJPG 1920x1080 30", "MJPG 1280x720 60", "MJPG 320x240 30"), "MJPG 1280x720 60"),
        (modes("GREY 1280x720 30", "YUYV 1280x720 30"), "YUYV 1280x720 30"),
    ],
)
def test_the_mode_nearest_to_what_is_wanted_is_taken(offered: list[Mode], best: str) -> None:
    assert choose(offered, 1280, 720, Fraction(30)) == modes(best)[0]


def test_no_mode_is_taken_where_none_can_be_read() -> None:
    assert choose(modes("H264 1280x720 30"), 1280, 720, Fraction(30)) is None


def test_a_poor_mode_is_explained_and_a_good_one_is_not() -> None:
    wanted = modes("MJPG 1280x720 30")[0]
    assert explain("Camera 0", wanted, wanted, WEBCAM, 480) == []
    offered = modes("YUYV 640x480 30", "YUYV 1280x720 10")
    (poor,) = explain("Camera 0", offered[0], wanted, offered, 480)
    assert "gives 640x480 YUYV at 30 fps instead of 1280x720 at 30 fps" in poor
    assert (
        "offers at 10 fps only, because YUYV would need 55 MB/s and USB 2 carries about 40" in poor
    )
    (small,) = explain("Camera 0", offered[0], wanted, offered[:1], 5000)
    assert "it has no 1280x720 that can be read here" in small
    (slow,) = explain("Camera 0", offered[1], wanted, offered[1:], None)
    assert "because" not in slow


def test_modes_are_listed_by_format_and_size() -> None:
    assert mode_lines([*WEBCAM, *modes("H264 640x480 30")]) == [
        "YUYV 640x480 at 30 fps",
        "YUYV 1280x720 at 10 fps",
        "MJPG 640x480 at 30 fps",
        "MJPG 1280x720 at 30, 15 fps",
        "H264 640x480 at 30 fps (cannot be read here)",
    ]


@needs_driver
def test_the_structures_and_numbers_are_the_kernels(tmp_path: Path) -> None:
    structures = {
        kind.__doc__.split(".")[0]: ctypes.sizeof(kind)
        for kind in vars(api).values()
        if isinstance(kind, type) and issubclass(kind, ctypes.Structure)
        if kind is not ctypes.Structure and kind.__doc__
    }
    codes = {
        name: value
        for name, value in vars(api).items()
        if isinstance(value, int) and value > 1 << 30 and not name.startswith("CAP_")
    }
    assert len(structures) == 9
    assert len(codes) == 12
    lines = [f'printf("%zu\\n", sizeof(struct {name}));' for name in structures]
    lines += [f'printf("%u\\n", (unsigned)VIDIOC_{name});' for name in codes]
    source = tmp_path / "sizes.c"
    source.write_text(
        "#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {\n"
        + "\n".join(lines)
        + "\nreturn 0; }\n"
    )
    program = compile_c(source, tmp_path / "sizes")
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    assert list(map(int, said)) == [*structures.values(), *codes.values()]


READ = """
import time
from seg_stream.pipeline.sources.camera import list_cameras, open_live
print(*list_cameras(ROOT), sep="\\n")
with open_live("fake cam", root=ROOT) as source:
    print(source.name, "|", source.mode, "|", source.notes)
    for _ in range(3):
        frame = source.newest(5)
    age_s = time.perf_counter() - frame.captured_s
    print(frame.width, frame.height, frame.format, frame.colour.full_range, 0.02 <= age_s < 1)
    print(*(int(plane[10, 10]) for plane in frame.planes))
"""

OPENCV = """
import cv2
capture = cv2.VideoCapture(str(ROOT / "dev/video0"), cv2.CAP_V4L2)
capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
capture.set(cv2.CAP_PROP_FRAME_WIDTH, 1280)
capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 720)
got, image = capture.read()
print(got, image.shape, *image[10, 10])
"""


@needs_driver
def test_another_reader_takes_the_stand_in_for_a_camera(driver: FakeDriver) -> None:
    got, *rest = driver.run(OPENCV)[-1].split()
    assert got == "True"
    values = [int(value.strip("(),")) for value in rest]
    assert values[:3] == [720, 1280, 3]
    assert max(abs(a - b) for a, b in zip(values[3:], (30, 160, 220), strict=True)) <= 4


@needs_driver
def test_a_camera_is_listed_and_read_in_its_best_mode(driver: FakeDriver) -> None:
    *listed, opened, frame, values = driver.run(READ)
    assert listed[0] == f"0  Fake Camera: Fake Camera ({driver.root / 'dev/video0'})"
    assert "MJPG 1280x720 at 30 fps" in listed[4]
    assert len(listed) == 5  # the node for metadata is no camera
    assert opened == "Camera 0 (Fake Camera: Fake Camera) | 1280x720 MJPG at 30 fps | []"
    assert frame == "1280 720 yuv420p True True"
    luma, u, v = map(int, values.split())
    assert abs(luma - 163) <= 3
    assert abs(u - 53) <= 3
    assert abs(v - 168) <= 3


@needs_driver
def test_a_camera_without_mjpg_is_read_raw_and_the_reason_said(driver: FakeDriver) -> None:
    driver.set("raw")
    *_, opened, frame, values = driver.run(READ)
    assert "640x480 YUYV at 30 fps" in opened
    assert "USB 2 carries about 40" in opened
    assert frame == "640 480 yuv420p False True"
    assert values == "36 128 128"  # the ramp, also with rows that are padded


@needs_driver
def test_who_has_a_busy_camera_is_named(driver: FakeDriver) -> None:
    driver.set("busy")
    with driver.nodes()[0].open("rb"):
        said = driver.run(
            "from seg_stream.pipeline.errors import UserError\n"
            "from seg_stream.pipeline.sources.camera import open_live\n"
            "try:\n    open_live('0', root=ROOT)\nexcept UserError as error:\n    print(error)"
        )[-1]
    assert "is used by" in said
    assert f"(process {os.getpid()})" in said


WATCH = """
import sys, threading
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.camera import open_live
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
with open_live("0", root=ROOT) as source:
    frames = 0
    while not stop.is_set():
        item = source.newest(0.5)
        if isinstance(item, Frame):
            frames += 1
            if frames == 3:
                print("picture", flush=True)
        elif item is not None:
            frames = 0
            print("none:", item.reason, flush=True)
print(source.health.losses, source.health.damaged > 0, source.mode)
"""


def wait_for(process: Any, text: str) -> str:
    """The next line with a text."""
    for line in process.stdout:
        if text in line:
            return str(line)
    raise AssertionError(f"the process ended without '{text}'")


@needs_driver
def test_a_camera_that_stalls_is_unplugged_and_comes_back_elsewhere(driver: FakeDriver) -> None:
    process = driver.start(WATCH)
    limit = Timer(60, process.kill)
    limit.start()
    with process:
        wait_for(process, "picture")
        driver.set("stalled")
        assert "gives no picture" in wait_for(process, "none:")
        driver.set("stalled", on=False)
        wait_for(process, "picture")
        driver.set("damaged")
        wait_for(process, "none:")
        driver.set("damaged", on=False)
        wait_for(process, "picture")
        driver.unplug()
        assert "unplugged" in wait_for(process, "unplugged")
        driver.set("unplugged", on=False)
        driver.plug(number=4, port="1-3")
        wait_for(process, "picture")
        output, _ = process.communicate("", timeout=60)
        limit.cancel()
    assert output.splitlines()[-1] == "1 True 1280x720 MJPG at 30 fps"


@needs_driver
def test_of_two_alike_the_one_in_the_same_port_is_found_again(driver: FakeDriver) -> None:
    driver.plug(number=2, port="1-7")
    code = """
from seg_stream.pipeline.sources.cameras import cameras, find_again
for camera in cameras(ROOT):
    print(camera.number, camera.port, find_again(camera, ROOT).number)
"""
    assert driver.run(code) == ["0 1-2 0", "2 1-7 2"]
    names = driver.run(
        "from seg_stream.pipeline.errors import UserError\n"
        "from seg_stream.pipeline.sources.cameras import find\n"
        "try:\n    find('fake', ROOT)\nexcept UserError as error:\n    print(error)"
    )
    assert "Several cameras are called 'fake'" in names[0]


def test_a_machine_without_cameras_says_so(tmp_path: Path) -> None:
    assert cameras(tmp_path) == []
    for wanted in ("0", "/dev/video7", "logi"):
        with pytest.raises(UserError, match=f"Camera {wanted} is not there .found none"):
            find(wanted, tmp_path)
        with pytest.raises(UserError, match="is not there"):
            open_live(wanted, root=tmp_path)


def test_the_programs_that_have_a_file_open_are_found(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.touch()
    assert users(path) == []
    code = "import sys; f = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        if not Path("/proc/self/fd").is_dir():
            pytest.skip("needs /proc")
        (user,) = users(path)
        assert f"(process {process.pid})" in user
        process.communicate("")
    assert users(path) == []
    assert users(tmp_path / "none") == []


def test_a_loopback_camera_is_read() -> None:
    """What a program writes into v4l2loopback comes out of the camera."""
    pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam")
    import numpy as np

    try:
        device = pyvirtualcam.Camera(640, 480, 30)
    except RuntimeError as error:
        pytest.skip(f"needs a v4l2loopback device ({error})")
    stop = False

    def feed() -> None:
        while not stop:
            device.send(np.full((480, 640, 3), 200, np.uint8))
            device.sleep_until_next_frame()

    with device:
        thread = Thread(target=feed)
        thread.start()
        try:
            with open_live(device.device, width=640, height=480) as source:
                frame = next(iter(source))
                assert (frame.width, frame.height) == (640, 480)
                assert abs(int(frame.planes[0].mean()) - 188) < 4
        finally:
            stop = True
            thread.join()


def test_a_camera_that_is_gone_is_not_found_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Camera 3 \(Eye\) is not there"):
        find_again(Camera(tmp_path / "dev/video3", 3, "Eye", "a:b:c:0", "1-1"), tmp_path)

"""The screen as a live source, grabbed from a real X server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from x_server import xvfb

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.screen import ScreenFeed

linux = pytest.mark.skipif(sys.platform != "linux", reason="X11 is Linux's")

GRAB = """
import cv2, mss, numpy as np, sys
from threading import Thread
from seg_stream.pipeline.sources.camera import open_live
from seg_stream.pipeline.picture import to_bgr
image = np.zeros((300, 400, 3), np.uint8)
image[:, :200], image[:, 200:] = (40, 200, 60), (220, 30, 30)
calm = tries = 0
with mss.MSS() as grabber:
    while calm < 20:
        if not calm and tries % 50 == 0:  # under load Qt may leave a new window black for good
            cv2.destroyAllWindows()
            cv2.namedWindow("w", cv2.WINDOW_AUTOSIZE)
            cv2.moveWindow("w", 0, 0)
            cv2.imshow("w", image)
        tries += 1
        cv2.waitKey(20)
        screen = np.asarray(grabber.grab(grabber.monitors[0]))[:, :, :3].astype(int)
        drawn = all(abs(screen[120, x] - image[0, x]).max() <= 4 for x in (110, 341))
        calm = calm + 1 if drawn else 0
def grab():
    for name in sys.argv[1:]:
        with open_live(name) as source:
            frame = source.newest(10)
            print(source.name, frame.width, frame.height, *to_bgr(frame)[20, -10])
thread = Thread(target=grab)
thread.start()
while thread.is_alive():
    cv2.waitKey(20)
"""


@linux
def test_the_screen_and_a_part_of_it() -> None:
    pytest.importorskip("mss", reason="needs mss")
    with xvfb() as display:
        result = subprocess.run(
            [sys.executable, "-c", GRAB, "screen", "screen:100x80+20+100", "screen:101x80+250,100"],
            env={**os.environ, "DISPLAY": display},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    whole, left, right = (line.split() for line in result.stdout.splitlines())
    assert whole[:3] == ["screen", "640", "480"]
    assert left[:3] == ["screen:100x80+20+100", "100", "80"]
    assert right[:3] == ["screen:101x80+250,100", "101", "80"]
    for got, colour in ((left[3:], (40, 200, 60)), (right[3:], (220, 30, 30))):
        assert max(abs(int(a) - b) for a, b in zip(got, colour, strict=True)) <= 4


@linux
@pytest.mark.parametrize(
    ("text", "display", "why"),
    [
        ("screen:100", ":0", "is no part of the screen"),
        ("screen:10x10+0+0/../x", ":0", "is no part of the screen"),
        ("screen", "", "DISPLAY is not set"),
        ("screen", ":4711", "no X server answers"),
    ],
)
def test_what_is_no_screen(
    text: str, display: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(UserError, match=why):
        ScreenFeed(text)


@linux
@pytest.mark.parametrize("text", ["screen:0x10+0+0", "screen:100x100+600+0"])
def test_a_region_must_be_on_the_screen(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mss", reason="needs mss")
    with xvfb() as display:
        monkeypatch.setenv("DISPLAY", display)
        with pytest.raises(UserError, match="is empty or reaches beyond the 640x480"):
            ScreenFeed(text)

"""A camera that is not there: frames at a true rate, and everything that cameras do wrong.

Each frame carries its number in blocks of its picture, so that whoever gets it can say which one
it is and when it was taken. `serve` shows the same camera as MJPEG over HTTP on loopback.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Literal

import av
import cv2
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.picture import planes_of
from seg_stream.pipeline.sources.contract import Feed, FeedLostError, Shot
from seg_stream.pipeline.types import Image

COLUMNS, ROWS, NUMBER_BITS = 9, 3, 24
"""The grid of blocks in the middle of a frame: its number and, in 3 bits, that modulo 7."""

DARK, BRIGHT = 150, 240
"""Luma of a 0 and a 1: both are "person" for a model that goes by brightness."""


@dataclass(frozen=True)
class Mishap:
    """Something that happens to the camera.

    Args:
        at_s: when, in seconds from the camera's start.
        kind: `stall`: no frames come; `unplug`: the camera is gone and cannot be opened; `corrupt`:
            frames come broken; `busy`: as unplug, but another program has it; `resize`: from now
            on frames are of `size`.
        for_s: how long.
    """

    at_s: float
    kind: Literal["stall", "unplug", "corrupt", "busy", "resize"]
    for_s: float = 0.0
    size: tuple[int, int] = (640, 480)


class FakeCamera:
    """A device with a script; `connect` opens it, as often as it is lost.

    Frame n is taken at n / rate seconds after the start, give or take the jitter. `taken_s` tells
    when, and `lost` counts what came while nobody read or what never came.

    Args:
        size: width and height.
        rate: frames a second.
        script: what goes wrong, in any order.
        jitter_s: a frame comes up to so much later than it should.
        scene: pictures to go round in, yuv420p; a bright box in a dark room by default.
        clock: in which all times are.
    """

    def __init__(
        self,
        size: tuple[int, int] = (1280, 720),
        rate: int = 30,
        script: Sequence[Mishap] = (),
        *,
        jitter_s: float = 0.0,
        scene: Sequence[av.VideoFrame] = (),
        clock: Clock | None = None,
        seed: int = 1,
    ) -> None:
        self.rate, self.jitter_s, self.seed = rate, jitter_s, seed
        self.clock = clock or Clock()
        self.start_s = self.clock.now_s()
        self._script, self._size = sorted(script, key=lambda mishap: mishap.at_s), size
        self._scene = scene
        self._scaled: dict[tuple[int, tuple[int, int]], av.VideoFrame] = {}

    def connect(self) -> Feed:
        """Open it.

        Raises:
            UserError: it is unplugged or busy at this time.
        """
        now_s = self.now_s()
        if self.suffers("unplug", now_s):
            raise UserError("The fake camera is unplugged; plug it in.")
        if self.suffers("busy", now_s):
            raise UserError("The fake camera is used by another program; close that.")
        return _FakeFeed(self)

    def now_s(self) -> float:
        """Seconds since the camera's start."""
        return self.clock.now_s() - self.start_s

    def taken_s(self, number: int) -> float:
        """When a frame is taken, in seconds from the camera's start."""
        late_s = random.Random(self.seed * 1_000_003 + number).uniform(0, self.jitter_s)
        return number / self.rate + late_s

    def suffers(self, kind: str, time_s: float) -> bool:
        """Whether something is going wrong at a time."""
        return any(
            mishap.kind == kind and mishap.at_s <= time_s < mishap.at_s + mishap.for_s
            for mishap in self._script
        )

    def size(self, time_s: float) -> tuple[int, int]:
        """Width and height of the frames at a time."""
        size = self._size
        for mishap in self._script:
            if mishap.kind == "resize" and mishap.at_s <= time_s:
                size = mishap.size
        return size

    def comes(self, number: int) -> bool:
        """Whether the frame reaches the computer."""
        time_s = self.taken_s(number)
        return not any(self.suffers(kind, time_s) for kind in ("stall", "unplug", "busy"))

    def picture(self, number: int) -> av.VideoFrame:
        """The picture of a frame, yuv420p in BT.601 and full range, as cameras' JPEGs are."""
        size = self.size(self.taken_s(number))
        picture = av.VideoFrame(*size, "yuvj420p")
        planes = planes_of(picture)
        for target, plane in zip(planes, planes_of(self._behind(number, size)), strict=True):
            np.copyto(target, plane)
        write_number(planes, number)
        picture.colorspace, picture.color_range = 5, 2
        return picture

    def _behind(self, number: int, size: tuple[int, int]) -> av.VideoFrame:
        index = number % len(self._scene) if self._scene else -1
        if (index, size) not in self._scaled:
            self._scaled[index, size] = (
                self._scene[index].reformat(*size, "yuv420p") if self._scene else _room(*size)
            )
        return self._scaled[index, size]

    def jpeg(self, number: int) -> bytes:
        """The frame as a JPEG; broken off while frames are corrupt."""
        picture = self.picture(number)
        image_bgr = picture.to_ndarray(format="bgr24")
        encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        corrupt = self.suffers("corrupt", self.taken_s(number))
        return encoded[: len(encoded) // 2] if corrupt else encoded


class _FakeFeed(Feed):
    """One connection to the fake camera; gives each frame at its time."""

    name, mode = "fake camera", "fake"

    def __init__(self, camera: FakeCamera) -> None:
        super().__init__()
        now_s = camera.now_s()
        self.width, self.height = camera.size(now_s)
        self.rate = Fraction(camera.rate)
        self.mode = f"{self.width}x{self.height} fake at {camera.rate} fps"
        self._camera, self._waiting = camera, camera.clock.condition()
        self._next = max(0, int(now_s * camera.rate))
        while camera.taken_s(self._next) < now_s:
            self._next += 1

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`."""
        camera = self._camera
        end_s = camera.now_s() + timeout_s
        while True:
            now_s = camera.now_s()
            if camera.suffers("unplug", now_s) or camera.suffers("busy", now_s):
                raise FeedLostError("The fake camera was unplugged.")
            due_s = camera.taken_s(self._next)
            if due_s > now_s:
                if now_s >= end_s:
                    return None
                with self._waiting:
                    self._waiting.wait(min(due_s, end_s) - now_s)
                continue
            while camera.taken_s(self._next + 1) <= now_s:  # the newest of those that wait
                self._next += 1
            number, self._next = self._next, self._next + 1
            if not camera.comes(number):
                continue
            if camera.suffers("corrupt", due_s):
                self.damaged += 1
                continue
            return Shot(camera.picture(number), camera.start_s + camera.taken_s(number))

    def close(self) -> None:
        """See `Closable.close`."""


def write_number(planes: Sequence[Image], number: int) -> None:
    """Draw a number into the middle of yuv420p planes."""
    luma = planes[0]
    x, y, block = _grid(luma)
    bits = number % (1 << NUMBER_BITS) << 3 | number % (1 << NUMBER_BITS) % 7
    for place in range(COLUMNS * ROWS):
        row, column = divmod(place, COLUMNS)
        value = BRIGHT if bits >> place & 1 else DARK
        top, left = y + row * block, x + column * block
        luma[top : top + block, left : left + block] = value
    for plane in planes[1:]:
        plane[y // 2 : (y + ROWS * block) // 2, x // 2 : (x + COLUMNS * block) // 2] = 128


def read_number(luma: Image) -> int | None:
    """The number in a frame's luma, (H, W) uint8, of whatever size; None if there is none."""
    x, y, block = _grid(luma)
    bits = 0
    for place in range(COLUMNS * ROWS):
        row, column = divmod(place, COLUMNS)
        top, left = y + row * block + block // 4, x + column * block + block // 4
        level = luma[top : top + block // 2, left : left + block // 2].mean()
        if not DARK - 20 <= level <= BRIGHT + 15:
            return None
        bits |= int(level > (DARK + BRIGHT) / 2) << place
    number, check = bits >> 3, bits & 7
    return number if number % 7 == check else None


def _grid(luma: Image) -> tuple[int, int, int]:
    """Left, top and block size: the width counts, since other shapes lose their top and bottom."""
    height, width = luma.shape
    block = max(2, width // 40 // 2 * 2)
    return (width - COLUMNS * block) // 4 * 2, (height - ROWS * block) // 4 * 2, block


def _room(width: int, height: int) -> av.VideoFrame:
    """A bright box, the person, in a dark room."""
    picture = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = planes_of(picture)
    luma[:] = 50
    for plane, value in zip(chroma, (140, 118), strict=True):
        plane[:] = value
    luma[height // 5 :, width // 4 : -(width // 4)] = 200
    return picture


@contextmanager
def serve(camera: FakeCamera) -> Iterator[str]:
    """Show the camera as MJPEG over HTTP on loopback; gives the URL.

    While it stalls nothing is sent; while it is unplugged or busy it hangs up and answers 503.
    """
    closing = Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, camera, closing))
    server.daemon_threads = False  # server_close waits for them
    thread = Thread(target=partial(server.serve_forever, 0.05), name="fake camera")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Sends one viewer the frames from now on."""

    def __init__(self, camera: FakeCamera, closing: Event, *arguments: Any) -> None:
        self._camera, self._closing = camera, closing
        super().__init__(*arguments)

    def do_GET(self) -> None:  # the base class's name
        camera = self._camera
        try:
            feed = camera.connect()
        except UserError:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = round(camera.now_s() * camera.rate) + 1
        with feed, suppress(OSError):  # the viewer hung up
            while not self._closing.is_set():
                now_s = camera.now_s()
                if camera.suffers("unplug", now_s) or camera.suffers("busy", now_s):
                    return
                self._closing.wait(max(0.0, camera.taken_s(number) - now_s))
                if camera.comes(number):
                    data = camera.jpeg(number)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                    self.wfile.write(f"{head}\r\n\r\n".encode() + data + b"\r\n")
                number += 1

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

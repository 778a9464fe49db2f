"""The page's stream: what is sent, to fast and slow watchers, and how it ends."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from time import monotonic, sleep
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from client import ask, frame, grey

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.page.app import MOST_WATCHERS
from seg_stream.pipeline.sinks.page import PageSink

pytest.importorskip("aiohttp", reason="needs the page extra (aiohttp)")
pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")


class Watcher:
    """Reads an answer that does not end, as fast as it is asked to."""

    def __init__(
        self, sink: PageSink, path: str = "/stream.mjpg", buffer: int | None = None
    ) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", urlsplit(sink.url).port))
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self._file = self.socket.makefile("rb")

    def head(self) -> bytes:
        lines = []
        while (line := self._file.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines)

    def chunks(self) -> Iterator[bytes]:
        """HTTP's chunks, until the end."""
        while size := int(self._file.readline() or b"0", 16):
            yield self._file.read(size)
            self._file.readline()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


HEAD = b"--picture\r\nContent-Type: image/jpeg\r\n"


def pictures(watcher: Watcher) -> Iterator[int]:
    """How bright each picture of a stream is."""
    for chunk in watcher.chunks():
        head, _, jpeg = chunk.partition(b"\r\n\r\n")
        assert head == HEAD + b"Content-Length: %d" % len(jpeg[:-2])
        yield grey(jpeg)


def test_the_stream_is_multipart() -> None:
    with PageSink("0", Controls()) as sink, closing(Watcher(sink)) as watcher:
        head = watcher.head()
        assert head.startswith(b"HTTP/1.1 200")
        assert b"multipart/x-mixed-replace; boundary=picture" in head
        assert b"default-src 'none'" in head
        seen = pictures(watcher)
        for value in (100, 110):
            sink.write(frame(value))
            assert next(seen) == value


def test_the_page_gets_the_head_of_the_next_picture_with_each() -> None:
    """Else a browser would show each picture only when the next one comes."""
    with PageSink("0", Controls()) as sink, closing(Watcher(sink, "/stream.mjpg?page")) as watcher:
        watcher.head()
        chunks = watcher.chunks()
        assert next(chunks) == HEAD + b"\r\n"
        for value in (100, 110):
            sink.write(frame(value))
            jpeg, head, rest = next(chunks).partition(b"\r\n" + HEAD)
            assert (grey(jpeg), bool(head), rest) == (value, True, b"\r\n")


def test_who_comes_later_sees_the_last_picture_at_once() -> None:
    with PageSink("0", Controls()) as sink:
        sink.write(frame(50))
        for value in (50, 90):
            with closing(Watcher(sink)) as watcher:
                watcher.head()
                assert next(pictures(watcher)) == value
            sink.write(frame(90))
        assert grey(ask(sink.url, "/picture.jpg").body) == 90


def test_before_the_first_picture_there_is_none() -> None:
    with PageSink("0", Controls()) as sink:
        answer = ask(sink.url, "/picture.jpg")
        assert (answer.status, answer.body) == (503, b"There is no picture yet.\n")


def test_wide_pictures_are_made_smaller() -> None:
    with PageSink("0", Controls()) as sink:
        sink.write(frame(50, 1920, 1080))
        jpeg = ask(sink.url, "/picture.jpg").body
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape == (720, 1280, 3)


def noise(values: range) -> list[Frame]:
    """Frames that make large JPEGs, each as much brighter."""
    spread = np.random.default_rng(1).integers(0, 60, (720, 1280, 3), np.uint8)
    frames = [frame(0, 1280, 720) for _ in values]
    for made, value in zip(frames, values, strict=True):
        made.planes[0][:] = spread + np.uint8(value)
    return frames


def test_a_slow_watcher_gets_few_and_new_pictures_and_holds_nobody_up() -> None:
    """It reads nothing while 30 pictures go by: what lies in between is not kept for it."""
    frames = noise(range(0, 180, 6))
    with PageSink("0", Controls()) as sink:
        slow, fast = Watcher(sink, buffer=4096), Watcher(sink)
        with closing(slow), closing(fast):
            slow.head()
            fast.head()
            seen = pictures(fast)
            for made in frames:
                sink.write(made)
                next(seen)
            got = []
            for value in pictures(slow):
                got.append(value)
                if value >= 6 * 29 + 28:
                    break
    assert got == sorted(set(got))
    assert len(got) < 10, "old pictures were kept for the slow watcher"


def test_watchers_are_limited() -> None:
    with PageSink("0", Controls()) as sink:
        for path in ("/stream.mjpg", "/api/events"):
            watchers = [Watcher(sink, path) for _ in range(MOST_WATCHERS)]
            try:
                assert all(watcher.head().startswith(b"HTTP/1.1 200") for watcher in watchers)
                assert ask(sink.url, path).status == 503
            finally:
                for watcher in watchers:
                    watcher.close()
        deadline = monotonic() + 20
        while True:  # those who have gone make room, though no picture came
            with closing(Watcher(sink)) as watcher:
                if watcher.head().startswith(b"HTTP/1.1 200"):
                    break
            assert monotonic() < deadline
            sleep(0.05)


def test_changes_and_figures_are_told() -> None:
    controls, line = Controls(), ["30.0 fps"]
    with (
        PageSink("0", controls, lambda: line[0]) as sink,
        closing(Watcher(sink, "/api/events")) as watcher,
    ):
        assert b"text/event-stream" in watcher.head()
        chunks = watcher.chunks()
        assert next(chunks) == b"retry: 1000\n\n"
        states = (json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks)
        assert next(states)["status"] == "30.0 fps"
        line[0] = "12.0 fps"
        assert next(states)["status"] == "12.0 fps"  # a second later
        controls.change(mirror=True)
        while not next(states)["settings"]["mirror"]:
            pass
        controls.say("Saved.")
        while next(states)["notice"]["text"] != "Saved.":
            pass


@pytest.mark.parametrize("_", range(20))
def test_it_ends_with_everybody_connected(_: int) -> None:
    """Watchers that read and that do not, somebody who asks nothing, and a writer, all at once."""
    sink, stop = PageSink("0", controls := Controls()), threading.Event()
    shown = noise(range(2))

    def write() -> None:
        while not stop.is_set():
            for each in shown:
                sink.write(each)
                controls.toggle("mirror")
                sleep(0.002)

    def read() -> None:
        with closing(Watcher(sink)) as watcher:
            watcher.head()
            for number, _ in enumerate(watcher.chunks()):
                if number == 8:  # by now the others are stuck or connected
                    reading.set()

    reading = threading.Event()
    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    stuck = Watcher(sink, buffer=4096)
    events = Watcher(sink, "/api/events")
    idle = socket.create_connection(("127.0.0.1", urlsplit(sink.url).port))
    try:
        for thread in threads:
            thread.start()
        assert reading.wait(20)
        events.head()
        begin = monotonic()
        sink.finish()
        sink.finish()
        took_s = monotonic() - begin
        stop.set()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert took_s < 15  # far above what it takes, far below for ever
    finally:
        stop.set()
        sink.finish()
        for each in (stuck, events, idle):
            each.close()


def test_it_ends_though_a_request_never_does() -> None:
    with PageSink("0", Controls()) as sink:
        half = socket.create_connection(("127.0.0.1", urlsplit(sink.url).port))
        half.sendall(
            b"POST /api/settings HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        ask(sink.url, "/")
    with half:
        assert not half.recv(1000).startswith(b"HTTP/1.1 200")

"""Network cameras that speak RTSP, and servers that lead elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from clips import person_in_room, write_video
from rtsp_server import rtsp

from seg_stream.benchmarks.fake_camera import FakeCamera, Mishap, read_number
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.camera import open_live
from seg_stream.pipeline.sources.contract import NoPicture
from seg_stream.pipeline.sources.network import open_network, shown_url

pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")


def test_an_rtsp_camera_is_played_lost_and_found_again() -> None:
    camera = FakeCamera((320, 240), 20, [Mishap(2.0, "unplug", 0.3)])
    numbers, gone = [], 0
    with rtsp(camera) as url, open_live(url) as source:
        assert (source.width, source.height) == (320, 240)
        assert "h264" in source.mode
        end_s = perf_counter() + 20
        while perf_counter() < end_s and (not gone or len(numbers) < 5):
            item = source.newest(0.2)
            if isinstance(item, Frame):
                number = read_number(item.planes[0])
                assert number is not None
                numbers.append(number)
            elif isinstance(item, NoPicture) and camera.now_s() >= 2.0:
                gone, numbers = gone + 1, []
        assert numbers == sorted(set(numbers))
    assert gone
    assert camera.taken_s(numbers[0]) >= 2.3


class _Answer(BaseHTTPRequestHandler):
    def __init__(self, status: int, headers: dict[str, str], body: bytes, *rest: Any) -> None:
        self._answer = status, headers, body
        super().__init__(*rest)

    def do_GET(self) -> None:
        status, headers, body = self._answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def answering(status: int, headers: dict[str, str], body: bytes = b"") -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answer, status, headers, body))
    server.daemon_threads = False  # so that server_close waits for them
    thread = threading.Thread(target=partial(server.serve_forever, 0.05))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", ["redirect", "playlist", "list"])
def test_a_server_cannot_make_it_open_a_file(kind: str, tmp_path: Path) -> None:
    """What the server names is a video that could be read."""
    clip = write_video(tmp_path / "private.ts", [person_in_room()] * 5)
    place = clip.as_uri()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{place}\n#EXT-X-ENDLIST\n"
    answers: dict[str, tuple[int, str, str, str]] = {
        "redirect": (302, "Location", place, ""),
        "playlist": (200, "Content-Type", "application/vnd.apple.mpegurl", playlist),
        "list": (200, "Content-Type", "text/plain", f"ffconcat version 1.0\nfile {place}"),
    }
    status, name, value, body = answers[kind]
    with (
        answering(status, {name: value}, body.encode()) as url,
        pytest.raises(UserError, match="cannot be opened"),
    ):
        open_network(url)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_is_said(status: int) -> None:
    with answering(status, {}) as url, pytest.raises(UserError, match="cannot be opened") as caught:
        open_network(url)
    assert url in str(caught.value)


def test_what_is_no_video_is_refused() -> None:
    with (
        answering(200, {"Content-Type": "text/html"}, b"<html>hello</html>" * 50) as url,
        pytest.raises(UserError),
    ):
        open_network(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@cam.local:554/a/b?token=1", "rtsp://cam.local:554/a/b"),
        ("HTTPS://[fe80::1]:8443/x#y", "https://[fe80::1]:8443/x"),
        ("http://host", "http://host"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert shown_url(url) == shown

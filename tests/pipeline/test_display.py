"""Whether there is a screen is asked without opening a window."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from x_server import xvfb

from seg_stream.pipeline.display import why_no_screen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a screen")


@contextmanager
def x_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answers one client; gives the DISPLAY and what the client said."""
    heard: list[bytes] = []
    with socket.socket() as server:
        for number in range(100, 200):
            try:
                server.bind(("127.0.0.1", 6000 + number))
                break
            except OSError:
                continue
        server.listen()
        server.settimeout(30)

        def serve() -> None:
            client, _ = server.accept()
            with client:
                heard.append(client.recv(1000))
                client.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{number}.0", heard
        thread.join()


def test_a_server_that_lets_in_is_a_screen(tmp_path: Path) -> None:
    with x_server(b"\1" + bytes(7)) as (display, heard):
        assert why_no_screen({"DISPLAY": display, "HOME": str(tmp_path)}) is None
    assert heard == [struct.pack("<BxHHHHxx", 0x6C, 11, 0, 0, 0)]


def test_the_key_from_the_users_file_is_shown(tmp_path: Path) -> None:
    number = 100

    def entry(display: int, key: bytes) -> bytes:
        fields = [socket.gethostname().encode(), b"%d" % display, b"MIT-MAGIC-COOKIE-1", key]
        return b"\1\0" + b"".join(struct.pack(">H", len(f)) + f for f in fields)

    with x_server(b"\1" + bytes(7)) as (display, heard):
        number = int(display.split(":")[1].split(".")[0])
        path = tmp_path / "keys"
        path.write_bytes(entry(7, b"x" * 16) + entry(number, b"k" * 16) + b"\1\0\0")
        assert why_no_screen({"DISPLAY": display, "XAUTHORITY": str(path)}) is None
    assert heard[0].endswith(b"MIT-MAGIC-COOKIE-1\0\0" + b"k" * 16)


def test_why_there_is_no_screen() -> None:
    assert why_no_screen({}) == "DISPLAY is not set"
    assert "expected something like :0" in (why_no_screen({"DISPLAY": "screen"}) or "")
    assert "no X server answers at DISPLAY :4711" in (why_no_screen({"DISPLAY": ":4711"}) or "")
    with x_server(b"\0\x0c" + bytes(6) + b"No protocol.") as (display, _):
        assert "refuses (No protocol)" in (why_no_screen({"DISPLAY": display}) or "")
    with x_server(b"") as (display, _):
        assert "no X server answers" in (why_no_screen({"DISPLAY": display}) or "")


WINDOW = """
from threading import Event
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.window import WindowSink
try:
    WindowSink(Event())
    print("window")
except UserError as error:
    print(error)
"""


def open_window(display: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WINDOW],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_display_without_a_server_does_not_abort_the_program() -> None:
    result = open_window(":4711")
    assert result.returncode == 0, result.stderr
    assert "no screen for the preview window (no X server answers at DISPLAY :4711)" in (
        result.stdout
    )


def test_a_real_server_is_a_screen() -> None:
    with xvfb() as display:
        assert why_no_screen({"DISPLAY": display}) is None
        result = open_window(display)
    assert (result.stdout.strip(), result.stderr) == ("window", "")

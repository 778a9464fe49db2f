"""A camera in the network with a person in a room, and the program that shows it on a page."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
from client import ask, frame
from commands import command_line

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.sinks.page import PageSink


@dataclass
class Studio:
    """The program while it runs. `folder` holds `live.toml` and gets the snapshots."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def settings(self) -> Any:
        """Those in force."""
        return ask(self.url, "/api/settings", {}).json()["settings"]

    def said(self) -> str:
        """What it has written to the terminal so far."""
        return (self.folder / "said.txt").read_text()


def scene(phase: int) -> Frame:
    """A bright person in a dark room, whose colour goes up and down."""
    made = frame(0, 640, 360)
    made.planes[0][:] = (50, 40, 30)
    made.planes[0][90:, 220:420] = np.uint8(225 - abs(phase % 60 - 30))
    return made


@contextmanager
def network_camera() -> Iterator[str]:
    """A network camera of 30 pictures a second; gives its URL."""
    stop = threading.Event()

    def play(sink: PageSink) -> None:
        phase = 0
        while not stop.wait(1 / 30):
            sink.write(scene(phase))
            phase += 1

    with PageSink("0", Controls()) as sink:
        thread = threading.Thread(target=play, args=(sink,))
        thread.start()
        try:
            yield f"{sink.url}stream.mjpg"
        finally:
            stop.set()
            thread.join()


@contextmanager
def studio(model: Path, rooms: Path, serve: str = "0") -> Iterator[Studio]:
    """`seg-stream --serve` as a user starts it; it must end well."""
    folder = rooms.parent
    (folder / "live.toml").write_text("steadiness = 0.5\n")
    with network_camera() as camera, (folder / "said.txt").open("wb") as said:
        command = command_line(
            "--camera", camera, "--no-preview", "--serve", serve, "--model", model,
            "--bg", "#00b140", "--backgrounds", rooms, "--snapshots", folder,
            "--config", folder / "live.toml",
        )  # fmt: skip
        with subprocess.Popen(command, stderr=said, cwd=folder) as process:
            running = Studio("", folder, process)
            try:
                for _ in range(600):
                    if found := re.search(r"The page is at (\S+)", running.said()):
                        running.url = found[1]
                        break
                    sleep(0.05)
                    assert process.poll() is None, running.said()
                yield running
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0, running.said()
                assert "Traceback" not in running.said()
            finally:
                process.kill()

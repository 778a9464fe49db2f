"""A camera in the network with a person in a room, and a live session that shows it on a page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from client import ask, frame

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.session import LiveSession
from seg_stream.pipeline.live.settings import settings_of
from seg_stream.pipeline.live.snapshot import SnapshotSink
from seg_stream.pipeline.sinks.page import PageSink
from seg_stream.pipeline.sources.camera import open_live


@dataclass(frozen=True)
class Studio:
    """`folder` is where snapshots go."""

    url: str
    folder: Path

    def settings(self) -> Any:
        """Those in force."""
        return ask(self.url, "/api/settings", {}).json()["settings"]


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
def studio(model: Path, rooms: Path) -> Iterator[Studio]:
    """A session that shows the network camera's picture on a page."""
    with network_camera() as camera:
        stop = threading.Event()
        controls = Controls(settings_of({"background": "#00b140"}), Playlist(rooms))
        folder = rooms.parent
        with LiveSession(open_live(camera), controls, model=str(model)) as session:
            page = PageSink("0", controls, lambda: f"{session.status().fps} fps")
            session.add_output("page", page)
            session.add_output("snapshots", SnapshotSink(controls, folder))
            thread = threading.Thread(target=lambda: session.run(stop=stop))
            thread.start()
            try:
                yield Studio(page.url, folder)
            finally:
                stop.set()
                thread.join()

"""Capture-to-output time of a live session with the page open, on two cores.

`python -m seg_stream.benchmarks.live CLIP`. The camera sends MJPG at a true rate, decoded here as
from a real one; a frame counts from when it is due until the page has its JPEG. The watcher is a
process of its own on the same cores: one that only reads, or headless Chromium (`--browser`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, sleep

import cv2

from seg_stream.benchmarks.paced import first_pictures
from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.session import LiveSession
from seg_stream.pipeline.live.settings import LiveSettings
from seg_stream.pipeline.sinks.page import PageSink
from seg_stream.pipeline.sources.contract import Feed, Shot
from seg_stream.pipeline.sources.mjpeg import JpegDecoder
from seg_stream.pipeline.sources.reconnecting import LiveSource
from seg_stream.pipeline.stream import one_opencv_thread

SIZE = 1280, 720
RATE = 30
CORES = 2
READ = (
    "import sys, urllib.request\n"
    "with urllib.request.urlopen(sys.argv[1] + 'stream.mjpg') as stream:\n"
    "    while stream.read(65536): pass\n"
)


class MjpgFeed(Feed):
    """A clip's pictures as JPEGs, forth and back, each at its time."""

    def __init__(self, clip: Path) -> None:
        super().__init__()
        self.name, self.mode = clip.name, f"{SIZE[0]}x{SIZE[1]} MJPG at {RATE} fps"
        (self.width, self.height), self.rate = SIZE, Fraction(RATE)
        jpegs = [
            cv2.imencode(".jpg", picture.reformat(*SIZE, "bgr24").to_ndarray())[1].tobytes()
            for picture in first_pictures(clip)
        ]
        self._jpegs = [*jpegs, *jpegs[-2:0:-1]]
        self._decoder = JpegDecoder()
        self._start_s, self._next = perf_counter(), 0
        self.skipped = 0

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`."""
        now_s = perf_counter()
        index = max(self._next, int((now_s - self._start_s) * self.rate))
        due_s = self._start_s + index / RATE
        sleep(min(max(0.0, due_s - now_s), timeout_s))
        if due_s - now_s > timeout_s:
            return None
        self.skipped += index - self._next
        self._next = index + 1
        picture = self._decoder.decode(self._jpegs[index % len(self._jpegs)])
        return Shot(picture, due_s) if picture else None

    def close(self) -> None:
        """See `Closable.close`."""


@contextmanager
def watching(url: str, *, browser: bool) -> Iterator[None]:
    """Somebody has the page open."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", READ, url]
        if browser:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            if not chromium:
                raise UserError("There is no Chromium; leave out --browser.")
            command = [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio",
                f"--user-data-dir={folder}", "--remote-debugging-port=0", url,
            ]  # fmt: skip
        watcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            watcher.terminate()
            watcher.wait()


def main() -> int:
    """Measure once and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--bg", default="blur")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    controls = Controls(LiveSettings(background=options.bg))
    feed = MjpgFeed(options.clip)
    before = os.getloadavg()[0]
    with (
        one_opencv_thread(),
        LiveSource(lambda: feed) as source,
        LiveSession(source, controls, model=options.model, threads=options.threads, say=print)
        as session,
    ):  # fmt: skip
        page = PageSink("0", controls)
        session.add_output("page", page)
        with watching(page.url, browser=options.browser):
            begun_s, cpu_s = perf_counter(), process_time()
            status = session.run(duration_s=options.seconds)
            cores = (process_time() - cpu_s) / (perf_counter() - begun_s)
    for line in status.sentences():
        print(line)
    watcher = "Chromium" if options.browser else "a reader"
    print(
        f"{feed.skipped} frames came while the decoder was busy; {cores:.2f} cores used by the "
        f"session, with {watcher} beside it; load of the machine {before:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The picture of the page in the README: a clip as a network camera, the session, a real browser.

    python -m seg_stream.benchmarks.page_picture CLIP BACKGROUNDS page.jpg

Needs the extras `page` and `dev` and Chromium. The page's line of figures is left empty: a
picture of one moment on one machine would be taken for a promise.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Literal

import cv2
import numpy as np

from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.session import LiveSession
from seg_stream.pipeline.live.settings import settings_of
from seg_stream.pipeline.sinks.page import PageSink
from seg_stream.pipeline.sources.camera import open_live
from seg_stream.pipeline.sources.video import VideoSource
from seg_stream.pipeline.types import Image

VIEWS: tuple[tuple[int, int, Literal["light", "dark"]], ...] = (
    (1280, 760, "light"),
    (390, 760, "dark"),
)
"""Width, height and colours of a desktop and a phone, side by side."""


@contextmanager
def _running(work: Thread, stop: Event) -> Iterator[None]:
    work.start()
    try:
        yield
    finally:
        stop.set()
        work.join()


def _play(clip: Path, sink: PageSink, stop: Event) -> None:
    """Show a clip over and over at its own speed."""
    while not stop.is_set():
        with VideoSource(clip) as source:
            for frame in source:
                sink.write(frame)
                if stop.wait(float(1 / source.rate)):
                    return


def main(clip: Path, backgrounds: Path, target: Path) -> None:
    """Write the picture."""
    from playwright.sync_api import sync_playwright

    stop = Event()
    playlist = Playlist(backgrounds)
    controls = Controls(settings_of({"background": playlist.entries[0]}), playlist)
    with ExitStack() as stack:
        camera = stack.enter_context(PageSink("0", Controls()))
        stack.enter_context(_running(Thread(target=_play, args=(clip, camera, stop)), stop))
        session = stack.enter_context(LiveSession(open_live(f"{camera.url}stream.mjpg"), controls))
        page = PageSink("0", controls)
        session.add_output("page", page)
        stack.enter_context(_running(Thread(target=lambda: session.run(stop=stop)), stop))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        shots: list[Image] = []
        for width, height, scheme in VIEWS:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            tab = context.new_page()
            tab.goto(page.url)
            tab.wait_for_timeout(5000)
            shot = np.frombuffer(tab.screenshot(), np.uint8)
            shots.append(np.asarray(cv2.imdecode(shot, cv2.IMREAD_COLOR), np.uint8))
            shots.append(np.full((height, 24, 3), 255, np.uint8))
            context.close()
        browser.close()
    cv2.imwrite(str(target), np.hstack(shots[:-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))

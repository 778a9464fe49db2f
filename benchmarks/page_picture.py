"""The picture of the page in the README: a clip as a network camera, the session, a real browser.

    python -m seg_stream.benchmarks.page_picture CLIP BACKGROUNDS FOLDER

Needs the extras `page` and `dev` and Chromium; writes `desktop.png`, `dark.png` and `phone.png`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Literal

from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.session import LiveSession
from seg_stream.pipeline.live.settings import settings_of
from seg_stream.pipeline.sinks.page import PageSink
from seg_stream.pipeline.sources.camera import open_live
from seg_stream.pipeline.sources.video import VideoSource

VIEWS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "desktop": (1280, 760, "light"),
    "dark": (1280, 760, "dark"),
    "phone": (390, 844, "dark"),
}


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


def main(clip: Path, backgrounds: Path, folder: Path) -> None:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    stop = Event()
    playlist = Playlist(backgrounds)
    controls = Controls(settings_of({"background": playlist.entries[0]}), playlist)
    with ExitStack() as stack:
        camera = stack.enter_context(PageSink("0", Controls()))
        stack.enter_context(_running(Thread(target=_play, args=(clip, camera, stop)), stop))
        session = stack.enter_context(LiveSession(open_live(f"{camera.url}stream.mjpg"), controls))
        page = PageSink("0", controls, lambda: session.status().line())
        session.add_output("page", page)
        stack.enter_context(_running(Thread(target=lambda: session.run(stop=stop)), stop))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (width, height, scheme) in VIEWS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            tab = context.new_page()
            tab.goto(page.url)
            tab.wait_for_timeout(5000)
            tab.screenshot(path=folder / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))

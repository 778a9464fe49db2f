"""The screen, or a part of it, through mss.

FFmpeg's own grabber is no way: PyAV and OpenCV each bring parts of libxcb, and in a process that
has a window of OpenCV's the grabber crashes.
"""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from time import perf_counter, sleep
from typing import TYPE_CHECKING

import av
import numpy as np

from seg_stream.pipeline.display import why_no_screen
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.contract import Feed, FeedLostError, Shot

if TYPE_CHECKING:
    import mss

REGION = re.compile(r"screen(?::(\d{1,5})x(\d{1,5})\+(\d{1,5})[+,](\d{1,5}))?")
RATE = Fraction(30)


def is_screen(text: str) -> bool:
    """Whether a source is named as the screen."""
    return text == "screen" or text.startswith("screen:")


class ScreenFeed(Feed):
    """Takes `screen`, the first one, or `screen:WIDTHxHEIGHT+X+Y`, a part of all of them.

    Raises:
        UserError: the region is none or outside, there is no screen, or mss is not installed.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        match = REGION.fullmatch(text)
        if not match:
            raise UserError(f"'{text}' is no part of the screen; write screen:WIDTHxHEIGHT+X+Y.")
        if why := why_no_screen():
            raise UserError(
                f"There is no screen to take ({why}); run it in a desktop session"
                f"{' under X11' if sys.platform == 'linux' else ''}."
            )
        self.name, self.rate = text, RATE
        self._grabber: mss.MSS | None = None  # made by the thread that reads, as Windows wants it
        self._region = _region(match)
        self.width, self.height = self._region["width"], self._region["height"]
        self.mode = f"{self.width}x{self.height} at {RATE} fps"
        self._due_s = perf_counter()

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`."""
        wait_s = self._due_s - perf_counter()
        if wait_s > timeout_s:
            sleep(timeout_s)
            return None
        sleep(max(0.0, wait_s))
        captured_s = perf_counter()
        self._due_s = max(self._due_s + float(1 / RATE), captured_s)
        try:
            self._grabber = self._grabber or _open()
            grab = self._grabber.grab(self._region)
        except Exception as error:  # mss's own and those of the system's libraries
            raise FeedLostError(f"{self.name} cannot be taken any more ({error}).") from None
        image_bgra = np.frombuffer(grab.raw, np.uint8).reshape(grab.height, grab.width, 4)
        return Shot(av.VideoFrame.from_ndarray(image_bgra, format="bgra"), captured_s)

    def close(self) -> None:
        """See `Closable.close`."""
        if self._grabber:
            self._grabber.close()
        self._grabber = None


def _open() -> mss.MSS:
    try:
        import mss
    except ModuleNotFoundError:
        raise UserError("The screen needs mss; pip install 'seg-stream[screen]'.") from None
    return mss.MSS()


def _region(match: re.Match[str]) -> dict[str, int]:
    """What to grab, in the coordinates of all screens together."""
    try:
        with _open() as grabber:
            whole, *screens = grabber.monitors
    except UserError:
        raise
    except Exception as error:  # see above
        raise UserError(f"The screen cannot be taken ({error}).") from None
    width, height, x, y = (int(part or 0) for part in match.groups())
    if match[1] is None:
        first = screens[0] if screens else whole
        return {side: int(first[side]) for side in ("left", "top", "width", "height")}
    if not width or not height or x + width > whole["width"] or y + height > whole["height"]:
        raise UserError(
            f"'{match[0]}' is empty or reaches beyond the {whole['width']}x{whole['height']} of "
            "the screen; write screen:WIDTHxHEIGHT+X+Y."
        )
    left, top = int(whole["left"]) + x, int(whole["top"]) + y
    return {"left": left, "top": top, "width": width, "height": height}

"""The screen, or a part of it, through FFmpeg's grabber of this system."""

from __future__ import annotations

import os
import re
import sys

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.av_feed import AvFeed

REGION = re.compile(r"screen(?::(\d{1,5})x(\d{1,5})\+(\d{1,5})[+,](\d{1,5}))?")
RATE = 30


def is_screen(text: str) -> bool:
    """Whether a source is named as the screen."""
    return text == "screen" or text.startswith("screen:")


def open_screen(text: str) -> AvFeed:
    """Open `screen`, or `screen:WIDTHxHEIGHT+X+Y`, a part of it.

    Raises:
        UserError: the region is none, or there is no screen.
    """
    match = REGION.fullmatch(text)
    if not match:
        raise UserError(f"'{text}' is no part of the screen; write screen:WIDTHxHEIGHT+X+Y.")
    width, height, x, y = match.groups()
    if width and not (int(width) and int(height)):
        raise UserError(f"'{text}' is empty; write screen:WIDTHxHEIGHT+X+Y.")
    options = {"framerate": str(RATE), "draw_mouse": "1"}
    if sys.platform == "win32":
        format, address = "gdigrab", "desktop"
        if width:
            options |= {"video_size": f"{width}x{height}", "offset_x": x, "offset_y": y}
    elif sys.platform == "darwin":
        format, address = "avfoundation", "Capture screen 0"
        options = {"framerate": str(RATE), "capture_cursor": "1", "pixel_format": "bgr0"}
        if width:
            raise UserError("On macOS only the whole screen can be taken; write --camera screen.")
    else:
        display = os.environ.get("DISPLAY")
        if not display:
            raise UserError(
                "There is no screen to take (DISPLAY is not set); run it in a desktop session "
                "under X11."
            )
        format, address = "x11grab", display
        if width:
            options["video_size"] = f"{width}x{height}"
            address = f"{display}+{x},{y}"
    return AvFeed(
        address,
        text,
        format=format,
        options=options,
        timeout_s=(5.0, 2.0),
        hint="check that the region is inside the screen",
    )

"""Whatever is live, by what the user calls it: a camera, a URL, the screen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.camera_mode import Mode
from seg_stream.pipeline.sources.cameras import ROOT, Camera, cameras, find, find_again, modes
from seg_stream.pipeline.sources.contract import Feed
from seg_stream.pipeline.sources.network import is_url, open_network
from seg_stream.pipeline.sources.opencv_camera import OpenCvFeed
from seg_stream.pipeline.sources.reconnecting import LONGEST_WAIT_S, LiveSource
from seg_stream.pipeline.sources.screen import ScreenFeed, is_screen
from seg_stream.pipeline.sources.v4l2_feed import V4l2Feed

NETWORK_WAIT_S = 2.0
"""The longest pause between two attempts to reach a server, which is not ours to hammer."""

WIDTH, HEIGHT, RATE = 1280, 720, Fraction(30)


def open_live(
    name: str,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    rate: Fraction = RATE,
    root: Path = ROOT,
) -> LiveSource:
    """Open a live source that outlives what it shows.

    Args:
        name: a camera's number, path or a part of its name; an RTSP or HTTP URL; `screen` or
            `screen:WIDTHxHEIGHT+X+Y`.
        width: asked of a camera, in pixels.
        height: likewise.
        rate: likewise, in frames a second.
        root: where `dev` and `sys` are.

    Raises:
        UserError: it is none of these, or cannot be opened.
    """
    if is_url(name):
        return LiveSource(lambda: open_network(name), longest_wait_s=NETWORK_WAIT_S)
    if is_screen(name):
        return LiveSource(lambda: ScreenFeed(name))
    return LiveSource(_camera(name, width, height, rate, root), longest_wait_s=LONGEST_WAIT_S)


def _camera(name: str, width: int, height: int, rate: Fraction, root: Path) -> Callable[[], Feed]:
    """What opens a camera, and after that the same one again."""
    if sys.platform != "linux":
        if not name.isdecimal():
            raise UserError(f"There is no camera '{name}'; give its number, a URL, or screen.")
        return lambda: OpenCvFeed(int(name), width, height, rate)
    known: Camera | None = None

    def connect() -> Feed:
        nonlocal known
        known = find_again(known, root) if known else find(name, root)
        return V4l2Feed(known, width, height, rate)

    return connect


def list_cameras(root: Path = ROOT) -> list[str]:
    """A few lines for each camera: what it is called, and the rates of each format and size."""
    if sys.platform != "linux":
        return ["Only Linux can list cameras; elsewhere they are counted from 0: --camera 0."]
    lines = []
    for camera in cameras(root):
        lines.append(f"{camera.number}  {camera.name} ({camera.path})")
        lines += [f"     {line}" for line in mode_lines(modes(camera))]
    return lines or ["There is no camera on this machine."]


def mode_lines(offered: list[Mode]) -> list[str]:
    """One line for each format and size, in the camera's own order."""
    rates: dict[tuple[str, int, int], list[float]] = {}
    for mode in offered:
        at = rates.setdefault((mode.fourcc, mode.width, mode.height), [])
        if mode.rate:
            at.append(float(mode.rate))
    lines = []
    for (fourcc, width, height), at in rates.items():
        said = ", ".join(f"{rate:.3g}" for rate in sorted(set(at), reverse=True))
        readable = "" if Mode(fourcc, width, height, None).readable else " (cannot be read here)"
        lines.append(f"{fourcc} {width}x{height}{f' at {said} fps' if said else ''}{readable}")
    return lines

"""What a camera can give, which of it is best, and why that may be poor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log

PACKED = {
    "YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p", "GREY": "gray",
    "BGR3": "bgr24", "RGB3": "rgb24",
}  # fmt: skip
"""Uncompressed formats that can be read, and FFmpeg's names of them."""

COMPRESSED = ("MJPG", "JPEG")

BYTES = {"YUYV": 2.0, "UYVY": 2.0, "NV12": 1.5, "YU12": 1.5, "GREY": 1.0, "BGR3": 3.0, "RGB3": 3.0}
"""A pixel's."""

USB_MBYTES_S = {12: 1, 480: 40, 5000: 400, 10000: 900}
"""What is left for a camera's pictures, in megabytes a second, of a speed in megabits a second."""


@dataclass(frozen=True)
class Mode:
    """A format, by its four letters, with a size and frames a second; None if that is not said."""

    fourcc: str
    width: int
    height: int
    rate: Fraction | None

    def __str__(self) -> str:
        rate = f" at {float(self.rate):.3g} fps" if self.rate else ""
        return f"{self.width}x{self.height} {self.fourcc}{rate}"

    @property
    def readable(self) -> bool:
        """Whether its pictures can be decoded here."""
        return self.fourcc in PACKED or self.fourcc in COMPRESSED

    @property
    def needs_mbytes_s(self) -> float:
        """Megabytes a second, if it is uncompressed."""
        rate = float(self.rate or 0)
        return self.width * self.height * BYTES.get(self.fourcc, 0) * rate / 1e6


def choose(modes: Sequence[Mode], width: int, height: int, rate: Fraction) -> Mode | None:
    """The readable mode nearest to what is wanted; None if there is none.

    A rate that is too low weighs more than a size that is off, since a person who moves in jerks
    looks worse than a coarse one. Where all is equal an uncompressed mode wins: it needs no
    decoding and has no artefacts. So MJPG is taken wherever the raw modes are slow.
    """

    def cost(mode: Mode) -> float:
        slow = max(0.0, 1 - float((mode.rate or rate) / rate))
        fast = max(0.0, float((mode.rate or rate) / rate) - 1)
        off = abs(log(mode.width / width)) + abs(log(mode.height / height))
        grey = 0.3 if mode.fourcc == "GREY" else 0.0
        return 2 * slow + off + 0.05 * fast + 0.01 * (mode.fourcc in COMPRESSED) + grey

    return min(filter(lambda mode: mode.readable, modes), key=cost, default=None)


def explain(
    name: str, given: Mode, wanted: Mode, modes: Sequence[Mode], usb_mbits_s: int | None
) -> list[str]:
    """A sentence for the user if a camera gives less than was wanted, and why; else nothing.

    Args:
        name: the camera's.
        given: what was negotiated.
        wanted: what was asked for.
        modes: what it offers.
        usb_mbits_s: the speed of its USB connection, if it has one.
    """
    slow = bool(given.rate and wanted.rate and given.rate < wanted.rate * Fraction(9, 10))
    if not slow and (given.width, given.height) == (wanted.width, wanted.height):
        return []
    text = f"{name} gives {given} instead of {wanted.width}x{wanted.height}"
    text += f" at {float(wanted.rate):.3g} fps" if wanted.rate else ""
    sized = [m for m in modes if (m.width, m.height) == (wanted.width, wanted.height) and m.rate]
    best = max(filter(lambda m: m.readable, sized), key=lambda m: m.rate or 0, default=None)
    if best is None:
        return [f"{text}: it has no {wanted.width}x{wanted.height} that can be read here."]
    if wanted.rate and best.rate and best.rate < wanted.rate * Fraction(9, 10):
        text += f", which it offers at {float(best.rate):.3g} fps only"
    raw = Mode(best.fourcc, wanted.width, wanted.height, wanted.rate)
    room = USB_MBYTES_S.get(usb_mbits_s or 0)
    if room and raw.needs_mbytes_s > room and not any(m.fourcc in COMPRESSED for m in sized):
        return [
            f"{text}, because {raw.fourcc} would need {raw.needs_mbytes_s:.0f} MB/s and "
            f"{_usb_name(usb_mbits_s or 0)} carries about {room}; try another port, or a camera "
            "with MJPG."
        ]
    return [f"{text}."]


def _usb_name(mbits_s: int) -> str:
    return {12: "USB 1", 480: "USB 2"}.get(mbits_s, "USB 3")

"""A part of a video: from when to when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import PixelFormat


@dataclass(frozen=True)
class Trim:
    """Seconds from the video's beginning; `end_s` is None for its end."""

    start_s: Fraction = Fraction(0)
    end_s: Fraction | None = None

    def __post_init__(self) -> None:
        """Refuse what holds no frame.

        Raises:
            UserError: the end is not after the start.
        """
        if self.end_s is not None and self.end_s <= self.start_s:
            raise UserError("The trim ends before it begins; write it as START-END, say 0:10-1:20.")


@dataclass(frozen=True)
class Look:
    """What the first picture of a video is like, which all others are made to be.

    `size` is (width, height) before it is turned upright, `colour` its tags.
    """

    size: tuple[int, int]
    format: PixelFormat
    colour: Colour


@dataclass(frozen=True)
class Part:
    """A piece of a conversion: from when to when, on the file's clock.

    Unlike a trim it does not change what time it is. What is before `counted_s` is read, but its
    flaws are another piece's.
    """

    start_s: Fraction
    end_s: Fraction | None
    counted_s: Fraction
    look: Look
    """Of the whole video."""


def parse_trim(text: str) -> Trim:
    """Turn `START-END` into a trim; either may be left out. Times are `[[H:]M:]S[.F]`.

    Raises:
        UserError: the text is something else.
    """
    start, dash, end = text.partition("-")
    if not dash or not (start.strip() or end.strip()):
        raise UserError(f"--trim {text} is not START-END; write it as 0:10-1:20 or 90-.")
    return Trim(_seconds(start, text) or Fraction(0), _seconds(end, text))


def _seconds(text: str, whole: str) -> Fraction | None:
    text = text.strip()
    if not text:
        return None
    match = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,7}(?:\.\d{1,9})?)", text)
    if not match:
        raise UserError(f"--trim {whole}: '{text}' is no time; write it as 80, 1:20 or 0:01:20.5.")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds

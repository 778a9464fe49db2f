"""How person and background are made to fit, and the composite of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seg_stream.pipeline.backgrounds import Background, BlurBackground
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.light_wrap import light_wrap
from seg_stream.pipeline.match_colour import ColourMatch
from seg_stream.pipeline.shrink import halvings, shrink
from seg_stream.pipeline.types import FloatImage, Image

ROWS = 100
"""Light and colour of the background are taken from a picture of about this many rows."""


@dataclass(frozen=True)
class Look:
    """The choices, each 0..1, or on and off.

    `light_wrap`: how much of the background's light falls on the person's edge. `match_colour`: how
    far light and colour of the person move towards the background's. `blur_strength`: how far the
    blurred room is out of focus, 0.5 is usual and 0 nearly sharp; `blur_falloff`: the less, the
    nearer to the person, as a lens does.
    """

    light_wrap: float = 0.0
    match_colour: float = 0.0
    blur_strength: float = 0.5
    blur_falloff: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no share.

        Raises:
            UserError: a value is outside 0..1.
        """
        for name in ("light_wrap", "match_colour", "blur_strength"):
            if not 0 <= getattr(self, name) <= 1:
                found = f"{getattr(self, name):g}"
                raise UserError(f"The {name.replace('_', ' ')} is {found}, expected 0 to 1.")


class Composer:
    """Puts the person of one frame after the other on a background; used from one thread."""

    def __init__(self, look: Look | None = None) -> None:
        self.look = look or Look()
        """In force from the next frame on."""
        self._match = ColourMatch()
        self._behind: tuple[Image, ...] = ()
        self._small: list[Image] = []

    def restart(self) -> None:
        """Forget the frames seen."""
        self._match.restart()

    def __call__(
        self, frame: Frame, alpha_hw: FloatImage, background: Background
    ) -> tuple[Image, ...]:
        """Make the planes of the composite.

        Args:
            frame: frames come in the order of their time.
            alpha_hw: float32 (H, W), 0..1.
            background: gives the planes behind.
        """
        look, planes = self.look, frame.planes
        if isinstance(background, BlurBackground):
            background.strength, background.falloff = look.blur_strength, look.blur_falloff
        behind = background.planes(frame, alpha_hw)
        if look.match_colour:
            small = self._shrunk(behind, frame)
            planes = self._match(frame, alpha_hw, small, look.match_colour)
        else:
            self._match.restart()
        shrunk = frame.shrunk if planes is frame.planes else None
        result = blend(planes, alpha_hw, behind, shrunk)
        if look.light_wrap:
            small = self._shrunk(behind, frame)
            result = light_wrap(frame, result, alpha_hw, small, look.light_wrap)
        return result

    def _shrunk(self, behind: Sequence[Image], frame: Frame) -> list[Image]:
        """The background's planes at one small size, made once for a still picture."""
        if not self._behind or behind[0] is not self._behind[0]:
            factor = halvings(frame.height, ROWS)
            size = -(-frame.width // factor), -(-frame.height // factor)
            self._small = [shrink(plane, *size) for plane in behind]
            self._behind = tuple(behind)
        return self._small

"""What can be changed while a camera runs, and what each value may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from seg_stream.pipeline.backgrounds import BLUR, TRANSPARENT
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.look import Look
from seg_stream.pipeline.matte import MatteSettings

Share = Annotated[float, Field(ge=0, le=1)]


class LiveSettings(BaseModel):
    """One consistent set of settings; a frame is made with one of them from its begin to its end.

    Make it of outside values with `settings_of`, which explains what is wrong with them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    background: str = Field(default=BLUR, title="Background", max_length=4096)
    """As `--bg`: `blur`, `#rrggbb`, or the name of a picture or video."""
    blur_strength: Share = Field(default=0.5, title="Blur")
    """How far the room is out of focus; 0.5 is as in files, 0 leaves it nearly sharp."""
    blur_falloff: bool = Field(default=False, title="Blur grows with distance")
    """Blur what is near the person less, as a lens does."""
    threshold: float = Field(default=0.5, ge=0.1, le=0.9, title="Threshold")
    """The probability of being a person that becomes an alpha of one half."""
    edge_softness: float = Field(default=0.5, ge=0.02, le=1, title="Edge softness")
    """How wide a range of probabilities, around the threshold, is neither person nor room."""
    steadiness: Share = Field(default=MatteSettings.steadiness, title="Steadiness")
    """0 takes every mask as it is; 1 changes still edges slowest."""
    light_wrap: Share = Field(default=0.0, title="Light wrap")
    """How much of the background's light falls on the person's edge."""
    match_colour: Share = Field(default=0.0, title="Colour match")
    """How far the person's colours move towards the background's."""
    mirror: bool = Field(default=False, title="Mirror")
    """Swap left and right in what is shown."""
    mask_view: bool = Field(default=False, title="Mask view")
    """Show the alpha in grey instead of the picture."""
    paused: bool = Field(default=False, title="Pause")
    """Show the placeholder instead of the camera."""

    @field_validator("background")
    @classmethod
    def _known(cls, text: str) -> str:
        if text == TRANSPARENT:
            raise ValueError("a live picture cannot be transparent; choose another background")
        if text.startswith("#") and not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
            raise ValueError(f"the background colour is '{text}', expected #rrggbb, say #00b140")
        if not text or "\0" in text:
            raise ValueError("the background is empty; give blur, #rrggbb, or a file's name")
        return text

    @property
    def matte(self) -> MatteSettings:
        """How the alpha is made with these settings."""
        half = self.edge_softness / 2
        low, high = max(0.0, self.threshold - half), min(1.0, self.threshold + half)
        return MatteSettings(steadiness=self.steadiness, low=low, high=high)

    @property
    def look(self) -> Look:
        """How person and background are made to fit with these settings."""
        return Look(self.light_wrap, self.match_colour, self.blur_strength, self.blur_falloff)


PROPERTIES: dict[str, dict[str, Any]] = LiveSettings.model_json_schema()["properties"]
"""JSON schema of each setting: its title, type, default and limits."""

NAMES = tuple(PROPERTIES)


def settings_of(values: Mapping[str, object]) -> LiveSettings:
    """Settings with these values, the defaults for those not named.

    Raises:
        UserError: a name is not known or a value not allowed; the first such one is explained.
    """
    for name in values:
        if name not in NAMES:
            raise UserError(_unknown(name))
    try:
        return LiveSettings.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(_explain(error)) from None


def check_background(text: str) -> None:
    """See that a background that is a file is there.

    Raises:
        UserError: it is not.
    """
    if text == BLUR or text.startswith("#"):
        return
    try:
        there = Path(text).is_file()
    except OSError:  # a name that the system does not take
        there = False
    if not there:
        raise UserError(
            f"The background {text} does not exist; give a picture, a video, blur or #rrggbb."
        )


def _unknown(name: str) -> str:
    begun = [known for known in NAMES if name and known.startswith(name)]
    near = begun or get_close_matches(name, NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(NAMES)}."
    return f"The setting '{name[:60]}' is not known; {hint}"


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name, found = str(first["loc"][0]), first["input"]
    if first["type"] == "value_error":
        text = str(first["ctx"]["error"])
        return f"{text[0].upper()}{text[1:]}."
    property = PROPERTIES[name]
    expected = {
        "boolean": "true or false",
        "string": "text in quotes",
        "number": f"a number from {property.get('minimum')} to {property.get('maximum')}",
    }[property["type"]]
    shown = {True: "true", False: "false"}.get(found) if isinstance(found, bool) else repr(found)
    return f"The setting {name} is {str(shown)[:60]}, expected {expected}."

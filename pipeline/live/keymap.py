"""The keys of the preview window and of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.controls import Controls

STEP = 0.05
"""How far a key moves a number."""


@dataclass(frozen=True)
class Key:
    """One character and what it does."""

    char: str
    words: str
    act: Callable[[Controls], object]


def _toggle(char: str, words: str, name: str) -> Key:
    return Key(char, words, lambda controls: controls.toggle(name))


def _steps(down: str, up: str, words: str, name: str) -> tuple[Key, Key]:
    return (
        Key(down, f"less {words}", lambda controls: controls.step(name, -STEP)),
        Key(up, f"more {words}", lambda controls: controls.step(name, STEP)),
    )


KEYS = (
    Key("n", "next background", lambda controls: controls.next_background()),
    Key("b", "background before", lambda controls: controls.next_background(-1)),
    *_steps("-", "+", "blur", "blur_strength"),
    _toggle("f", "blur grows with distance", "blur_falloff"),
    *_steps("t", "T", "certainty needed (threshold)", "threshold"),
    *_steps("e", "E", "edge softness", "edge_softness"),
    *_steps("s", "S", "steadiness", "steadiness"),
    *_steps("l", "L", "light wrap", "light_wrap"),
    *_steps("k", "K", "colour match", "match_colour"),
    _toggle("m", "mirror", "mirror"),
    _toggle("v", "view the mask", "mask_view"),
    _toggle("p", "pause to the placeholder", "paused"),
    Key("c", "capture a snapshot", lambda controls: controls.request_snapshot()),
)

HELP = "; ".join(f"{key.char} {key.words}" for key in KEYS)
HELP += "; i figures; h this help; q ends it"
"""All keys of the window in a line."""

_BY_CHAR = {key.char: key for key in KEYS}
_BY_CHAR["="] = _BY_CHAR["+"]  # without Shift
_BY_CHAR["h"] = _BY_CHAR["?"] = Key("h", "help", lambda controls: controls.say(HELP))


def press(char: str, controls: Controls) -> bool:
    """Do what a key stands for, and say what came of it; returns whether it stands for anything."""
    key = _BY_CHAR.get(char)
    if key is None:
        return False
    try:
        key.act(controls)
    except UserError as error:
        controls.say(str(error))
    return True

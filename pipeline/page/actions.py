"""What the page can see and do, in plain values; it never learns or names a path."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seg_stream.pipeline.backgrounds import BLUR, crop_to_fill
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.keymap import KEYS, press
from seg_stream.pipeline.live.settings import PROPERTIES
from seg_stream.pipeline.page.feed import jpeg
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.sources.images import SUFFIXES, read_image
from seg_stream.pipeline.sources.video import VideoSource

THUMBNAIL = (192, 108)
"""Width and height."""


class Actions:
    """Between the page and the controls; its methods may read the disk, one thread calls them.

    Args:
        controls: what is changed.
        status: a line of figures, asked for once a second.
    """

    def __init__(self, controls: Controls, status: Callable[[], str]) -> None:
        self._controls, self._status = controls, status
        self._thumbnails: dict[str, bytes] = {}

    def state(self) -> dict[str, object]:
        """The settings in force, the last notice, the line of figures."""
        settings = self._controls.current.model_dump()
        settings["background"] = name_of(self._controls.current.background)
        notice = self._controls.notice
        return {
            "settings": settings,
            "notice": {"number": notice.number, "text": notice.text},
            "status": self._status(),
        }

    def about(self) -> dict[str, object]:
        """What the page is built of: the settings' limits, the keys, the backgrounds."""
        self._controls.rescan()
        return {
            "settings": {
                name: property for name, property in PROPERTIES.items() if name != "background"
            },
            "keys": [{"char": key.char, "words": key.words} for key in KEYS],
            "backgrounds": [
                {"name": name_of(text), "label": label_of(text), "picture": is_file(text)}
                for text in self._offered()
            ],
        }

    def thumbnail(self, name: str) -> bytes:
        """A small JPEG of a listed background.

        Raises:
            UserError: it is none of them, or cannot be read.
        """
        if name not in self._thumbnails:
            path = Path(self._listed(name))
            if not is_file(str(path)):
                raise UserError("This background has no picture.")
            if path.suffix.lower() in SUFFIXES:
                image_bgr = read_image(path)
            else:
                with VideoSource(path) as source:
                    image_bgr = to_bgr(next(iter(source)))
            self._thumbnails[name] = jpeg(crop_to_fill(np.asarray(image_bgr), *THUMBNAIL))
        return self._thumbnails[name]

    def change(self, body: Mapping[str, Any]) -> None:
        """Change settings; a background is named as `about` lists it, or is a colour.

        Raises:
            UserError: a name or a value is not allowed.
        """
        fields = dict(body)
        if "background" in fields:
            name = fields["background"]
            plain = isinstance(name, str) and name.startswith("#")
            fields["background"] = name if plain else self._listed(name)
        self._controls.change(**fields)

    def press(self, body: Mapping[str, Any]) -> None:
        """Do what a key does in the preview window.

        Raises:
            UserError: it does nothing there.
        """
        char = body.get("key")
        if not isinstance(char, str) or not press(char, self._controls):
            raise UserError("This key does nothing; press h for help.")

    def _offered(self) -> tuple[str, ...]:
        """Those listed, and the one in use if it is another file."""
        now = self._controls.current.background
        return tuple(
            dict.fromkeys((*self._controls.backgrounds, *((now,) if is_file(now) else ())))
        )

    def _listed(self, name: object) -> str:
        for text in self._offered():
            if name_of(text) == name:
                return text
        raise UserError("This background is not in the list; reload the page.")


def is_file(background: str) -> bool:
    """Whether a background is a picture or a video."""
    return background != BLUR and not background.startswith("#")


def name_of(background: str) -> str:
    """What the page calls a background: itself, or for a file a name that tells nothing."""
    if not is_file(background):
        return background
    return hashlib.sha256(background.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def label_of(background: str) -> str:
    """What the user reads: a file's name without its folder and kind."""
    if background == BLUR:
        return "Blurred room"
    if background.startswith("#"):
        return background
    words = Path(background).stem.replace("_", " ").replace("-", " ")
    return words.encode("utf-8", "replace").decode()

"""What was not right in a video, counted."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass
class Flaws:
    """How many packets or frames of a video were not as they should be."""

    damaged: int = 0
    """Packets that could not be decoded."""
    patched: int = 0
    """Frames in which the decoder had to guess."""
    untimed: int = 0
    resized: int = 0
    recoloured: int = 0
    unseen: int = 0
    """Frames before the begin of an edit list; nothing is wrong with them."""

    def add(self, other: Flaws) -> None:
        """Count those of another part too."""
        for field in fields(self):
            both = getattr(self, field.name) + getattr(other, field.name)
            setattr(self, field.name, both)

    def notes(self, path: Path) -> list[str]:
        """A sentence for each kind that there is."""
        sentences = {
            "untimed": "{} frames had no usable time and were spaced.",
            "resized": "its size changes; {} frames were scaled to the first one's.",
            "recoloured": "its colour space changes; {} frames may look different.",
            "damaged": "{} damaged packets were left out.",
            "patched": "{} frames are damaged and may show it.",
        }
        counts = {name: getattr(self, name) for name in sentences}
        return [f"{path}: {sentences[name].format(n)}" for name, n in counts.items() if n]

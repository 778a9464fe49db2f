"""Why the room's picture is not shown."""

from __future__ import annotations

from enum import StrEnum


class Absence(StrEnum):
    """A reason to show the placeholder; the value is what is counted, `label` what viewers read."""

    STARTING = "no mask yet"
    NO_PICTURE = "no picture"
    PAUSED = "paused"
    RESTING = "nobody watches"
    NETWORK = "network failed"
    LATE = "mask too old"
    BACKGROUND = "background failed"

    @property
    def label(self) -> str:
        """A word for the picture: what went wrong is the user's business, not the viewers'."""
        return {
            Absence.STARTING: "one moment",
            Absence.PAUSED: "paused",
            Absence.NO_PICTURE: "no camera",
        }.get(self, "one moment")

    @property
    def wanted(self) -> bool:
        """Whether it is as it should be, and needs no line in the log."""
        return self in (Absence.PAUSED, Absence.STARTING)

"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["right", "absent", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One line: `absent` is what is not there and not needed; `fix` is what to do about it."""

    subject: str
    state: State
    text: str
    fix: str = ""


def right(subject: str, text: str) -> Finding:
    """It works."""
    return Finding(subject, "right", text)


def absent(subject: str, text: str, fix: str = "") -> Finding:
    """It is not there; much works without."""
    return Finding(subject, "absent", text, fix)


def wrong(subject: str, text: str, fix: str) -> Finding:
    """It is needed and not there, or it is there and does not work."""
    return Finding(subject, "wrong", text, fix)

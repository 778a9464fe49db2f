"""Real-time virtual backgrounds.

`convert` does a whole file, `VirtualBackground` one picture after the other. Both are loaded when
they are first used, so that the parts below stay importable on their own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seg_stream.pipeline.errors import SegStreamError, UserError

if TYPE_CHECKING:
    from seg_stream.pipeline.conversion import convert
    from seg_stream.pipeline.effect import VirtualBackground
    from seg_stream.pipeline.matte import MatteSettings
    from seg_stream.pipeline.stream import Summary

__all__ = [
    "MatteSettings",
    "SegStreamError",
    "Summary",
    "UserError",
    "VirtualBackground",
    "convert",
]

_HOME = {
    "MatteSettings": "matte",
    "Summary": "stream",
    "VirtualBackground": "effect",
    "convert": "conversion",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

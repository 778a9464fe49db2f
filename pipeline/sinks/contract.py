"""What every sink promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from seg_stream.pipeline.frame import Frame


class Sink(ABC):
    """Takes frames in order, from one thread.

    A context manager: leaving it normally finishes the output, leaving it with an error discards
    what was not whole.
    """

    cut_short: bool = False
    """Set it when the source was stopped early: what accompanies the frames then ends with them."""

    watched: bool = True
    """Whether somebody takes what is written; where nobody does, a live session may rest."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Take one frame.

        Raises:
            UserError: the output cannot take it.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what is still on its way and make the output appear under its name."""

    @abstractmethod
    def discard(self) -> None:
        """Throw away what was not finished; nothing appears under the output's name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.discard()
            return
        try:
            self.finish()
        except BaseException:
            self.discard()
            raise

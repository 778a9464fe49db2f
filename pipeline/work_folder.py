"""What is done of a long conversion, kept beside its output until it is whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from seg_stream.pipeline.errors import UserError


class Finished(BaseModel):
    """A finished segment, as its `NNNNNN.json` says.

    `packet_pts` are the times of its packets in decoding order, for each file of the segment;
    `time_base` is their unit in seconds, a fraction.
    """

    frames: int
    time_base: str = "1"
    packet_pts: list[list[int]] = []
    notes: list[str] = []
    unseen: int = 0
    engine: str = ""


class Store:
    """The files of the segments, in a folder that every worker sees."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, index: int, target: Path, number: int) -> Path:
        """Where a segment's piece of the output (0) or of the matte (1) goes."""
        return self.path / f"{index:06d}.{number}{target.suffix}"

    def finished(self, index: int) -> Finished | None:
        """What a segment made, if it is done."""
        try:
            return Finished.model_validate_json(_read(self._note(index)))
        except ValidationError:
            return None

    def finish(self, index: int, made: Finished) -> None:
        """Note that all files of a segment are whole."""
        _write(self._note(index), made.model_dump_json())

    def _note(self, index: int) -> Path:
        return self.path / f"{index:06d}.json"


class WorkFolder(Store):
    """A hidden folder beside an output; a context manager: one process at a time works in it.

    Args:
        output: the file that is to come.
        asked: text of everything that decides what comes out; what was done for another one is
            thrown away.
        keep: whether what is there may be used.

    Raises:
        UserError: it cannot be made, or another process works in it.
    """

    def __init__(self, output: Path, asked: str, *, keep: bool) -> None:
        super().__init__(output.absolute().parent / f".{output.name}.segments")
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = FileLock(self.path / "lock")
            self._lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"{output} is being written by another process; wait for it, or choose another "
                "name."
            ) from None
        except OSError as error:
            raise UserError(
                f"The folder {self.path.parent} cannot be written ({error.strerror}); choose "
                "another."
            ) from None
        self.asked = asked
        note = self.path / "job.json"
        if not keep or _read(note) != asked:
            for path in self.path.iterdir():
                if path.name != "lock":
                    path.unlink()
            _write(note, asked)

    def remove(self) -> None:
        """Throw everything away."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        if not any(self.path.glob("[0-9]*.json")):  # nothing worth going on with
            shutil.rmtree(self.path, ignore_errors=True)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)

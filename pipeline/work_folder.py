"""What is done of a long conversion, kept beside its output until it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from secrets import token_hex

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError, field_validator

from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.sinks.part_file import segments_folder
from seg_stream.pipeline.sources.flaws import Flaws


class Piece(BaseModel):
    """A segment's file of one output: its CRC-32, and when each of its packets is shown.

    `packet_pts` are in decoding order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crc32: NonNegativeInt
    packet_pts: list[int]


class Finished(BaseModel):
    """A finished segment, as its `NNNNNN.json` says; without frames it has no pieces.

    `time_base` is the unit of the pieces' times in seconds, a fraction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: NonNegativeInt
    time_base: Fraction
    pieces: list[Piece]
    flaws: Flaws
    notes: list[str]
    engine: str

    @field_validator("time_base", mode="before")
    @classmethod
    def _read_fraction(cls, value: object) -> object:
        if isinstance(value, str) and not re.fullmatch(r"[1-9]\d{0,11}(/[1-9]\d{0,11})?", value):
            raise ValueError("expected a fraction above 0")
        return value


class Store:
    """The files of the segments, in a folder that every worker sees."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, index: int, target: Path, number: int) -> Path:
        """Where a segment's piece of the output (0) or of the matte (1) goes."""
        return self.path / f"{index:06d}.{number}{target.suffix}"

    def finished(self, index: int, targets: Sequence[Path]) -> Finished | None:
        """What a segment made, if it is done and all its pieces are there."""
        try:
            made = Finished.model_validate_json(_read(self._note(index)))
        except ValidationError:
            return None
        if made.frames and len(made.pieces) != len(targets):
            return None
        for number, piece in enumerate(made.pieces):
            file = self.file(index, targets[number], number)
            if len(piece.packet_pts) != made.frames or checksum(file) != piece.crc32:
                return None
        return made

    def finish(self, index: int, targets: Sequence[Path], made: Finished) -> None:
        """Note that all files of a segment are whole, and see them safe on the disk."""
        for number in range(len(made.pieces)):
            with self.file(index, targets[number], number).open("rb+") as file:
                os.fsync(file.fileno())
        _write(self._note(index), made.model_dump_json())

    def _note(self, index: int) -> Path:
        return self.path / f"{index:06d}.json"


class WorkFolder(Store, Closable):
    """A hidden folder beside an output; a context manager: one process at a time works in it.

    It holds a folder for each thing that was asked, so that a worker which is late cannot meddle
    with another conversion.

    Args:
        output: the file that is to come.
        asked: JSON of everything that decides what comes out.
        keep: whether what is there may be used; else it is thrown away.

    Raises:
        UserError: it cannot be made, another process works in it, or what is to be kept was done
            for something else.
    """

    def __init__(self, output: Path, asked: str, *, keep: bool) -> None:
        self._asked = asked
        self._base = segments_folder(output)
        super().__init__(self._base / hashlib.sha256(asked.encode()).hexdigest()[:16])
        self._lock = FileLock(f"{self._base}.lock")
        with _making(output):
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise UserError(
                    f"{output} is being written by another process; wait for it, or choose "
                    "another name."
                ) from None
        try:
            with _making(output):
                _make_own_folder(self._base)
            others = [folder for folder in self._folders() if folder != self.path]
            if keep and not self.path.is_dir():
                for other in others:
                    self._refuse_other(output, asked, other)
            for folder in others if keep else self._folders():
                shutil.rmtree(folder)
            with _making(output):
                self.path.mkdir(exist_ok=True)
                _write(self.path / "job.json", asked)
        except BaseException:
            self.close()
            raise

    def _folders(self) -> list[Path]:
        """The folders in it that are ours, by their names."""
        return [
            path
            for path in self._base.iterdir()
            if re.fullmatch(r"[0-9a-f]{16}", path.name) and path.is_dir() and not path.is_symlink()
        ]

    @staticmethod
    def _refuse_other(output: Path, asked: str, other: Path) -> None:
        if not _worth_keeping(other):
            return
        try:
            before, now = json.loads(_read(other / "job.json")), json.loads(asked)
            before, now = ({**asked, **asked.get("job", {})} for asked in (before, now))
            changed = ", ".join(key for key in now if key != "job" and before.get(key) != now[key])
        except (ValueError, AttributeError, TypeError):
            changed = "unknown"
        raise UserError(
            f"What is done of {output} was done for something else ({changed}); ask for the same "
            "again, or leave --resume out to begin anew."
        )

    def is_for(self, asked: str) -> bool:
        """Whether this is what it was made for."""
        return asked == self._asked

    def remove(self) -> None:
        """Throw everything away."""
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Throw away what nobody can go on with, and let others in."""
        if self.path.is_dir() and not self.path.is_symlink() and not self.kept:
            self.remove()
        with suppress(OSError):  # not empty, or not ours
            self._base.rmdir()
        with suppress(OSError):  # while it is held, so that nobody else has it
            Path(self._lock.lock_file).unlink()
        self._lock.release()

    @property
    def kept(self) -> bool:
        """Whether there is something to go on with."""
        return _worth_keeping(self.path)


def forget(output: Path) -> None:
    """Throw away what unfinished conversions have left of an output that is whole now."""
    with WorkFolder(output, "{}", keep=False) as work:
        work.remove()


def _worth_keeping(folder: Path) -> bool:
    return any(folder.glob("[0-9]*.json"))


def _make_own_folder(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    owner = getattr(os, "getuid", lambda: status.st_uid)()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner:
        raise UserError(f"{path} is no folder of yours; remove it.")


@contextmanager
def _making(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The folder {output.absolute().parent} cannot be written ({error.strerror}); choose "
            "another."
        ) from None


def checksum(path: Path) -> int:
    """The CRC-32 of a file; -1 if it cannot be read."""
    crc = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                crc = zlib.crc32(block, crc)
    except OSError:
        return -1
    return crc


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{token_hex(4)}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SegStreamError(f"{path} cannot be written ({error.strerror}).") from error

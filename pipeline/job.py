"""What a conversion is asked to do, in plain values."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from seg_stream.engines.models import DEFAULT, is_shipped
from seg_stream.engines.onnxruntime_cpu import available_cores
from seg_stream.engines.select import EngineChoice
from seg_stream.pipeline.backgrounds import BLUR, TRANSPARENT
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.look import Look
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.sinks.encoding import Encoding
from seg_stream.pipeline.sinks.images import is_numbered
from seg_stream.pipeline.sinks.part_file import check_target
from seg_stream.pipeline.sources import Source
from seg_stream.pipeline.sources.images import ImageSource
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.sources.video import VideoSource

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SEGMENT_S = 60
"""Seconds of a long video that are converted as one piece."""


@dataclass(frozen=True)
class Job:
    """One input, its output, and everything that decides what comes out.

    See `convert` for what each of them means.
    """

    input: Path
    output: Path
    background: str = "blur"
    model: str = DEFAULT
    engine: str | EngineChoice = "auto"
    matte: MatteSettings = field(default_factory=MatteSettings)
    look: Look = field(default_factory=Look)
    every: int = 1
    encoding: Encoding = field(default_factory=Encoding)
    matte_output: Path | None = None
    trim: Trim | None = None
    overwrite: bool = False
    segment_s: int = SEGMENT_S

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UserError: the video and its matte have one name, a segment is too short, or a
                transparent output should fit a background.
        """
        targets = self.targets
        if len({_place(target) for target in targets}) < len(targets):
            raise UserError(
                f"{self.output} is given for the video and for its matte; name two files."
            )
        if self.segment_s < 0:
            raise UserError(
                f"A segment cannot last {self.segment_s} seconds; give 1 or more, or 0 for none."
            )

        if self.transparent and (self.look.light_wrap or self.look.match_colour):
            raise UserError(
                "A transparent output has no background to take light or colour from; leave "
                "--light-wrap and --match-colour out."
            )

    @property
    def targets(self) -> list[Path]:
        """What is written: the output and, if it is wanted, the matte."""
        return [self.output, *([self.matte_output] if self.matte_output else [])]

    @property
    def transparent(self) -> bool:
        """Whether the output carries alpha."""
        return self.background == TRANSPARENT

    def check_targets(self) -> None:
        """See that everything can come under its name.

        Raises:
            UserError: something cannot.
        """
        for target in self.targets:
            check_target(target, overwrite=self.overwrite)

    def anywhere(self) -> Job:
        """The same job with nothing left that another folder or machine would decide otherwise."""
        plain = self.background in (BLUR, TRANSPARENT) or self.background.startswith("#")
        matte = self.matte_output
        return replace(
            self,
            input=self.input.absolute(),
            background=self.background if plain else str(Path(self.background).absolute()),
            model=self.model if is_shipped(self.model) else str(Path(self.model).absolute()),
            output=self.output.absolute(),
            matte_output=matte.absolute() if matte else None,
        )

    def is_long(self, source: Source) -> bool:
        """Whether it may be worth cutting; live recordings do not say how long they are."""
        if not isinstance(source, VideoSource) or not self.segment_s:
            return False
        return source.length_s is None or source.length_s >= Fraction(3, 2) * self.segment_s

    def to_json(self) -> str:
        """The job as text, for a worker."""
        return _as_json().dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> Job:
        """Read what `to_json` wrote."""
        return _as_json().validate_json(text)

    def refuse_inputs_as_outputs(self, source: Source) -> None:
        """Nothing that is read may be written, also under another name or behind a link.

        Raises:
            UserError: it would be.
        """
        read = source.paths if isinstance(source, ImageSource) else [self.input]
        taken = {_identity(path) for path in (*read, Path(self.background)) if path.is_file()}
        for target in self.targets:
            for path in _files_behind(target, source):
                if path.is_file() and _identity(path) in taken:
                    raise UserError(
                        f"{path} is the input itself or the background; choose another name for "
                        "the output."
                    )


@cache
def _as_json() -> TypeAdapter[Job]:
    from pydantic import TypeAdapter

    return TypeAdapter(Job)


def open_effect(job: Job) -> VirtualBackground:
    """The effect that a job asks for.

    Raises:
        UserError: its background, model or engine cannot be used.
    """
    return VirtualBackground(
        job.background,
        model=job.model,
        engine=job.engine,
        matte=job.matte,
        look=job.look,
        keep_alpha=job.matte_output is not None,
        every=job.every,
        # Decoder and encoder take the other half; alone, each thread does more for its time.
        threads=max(1, available_cores() // 2),
    )


def _place(target: Path) -> Path:
    """What a name would write: itself, or, for numbered pictures, their folder."""
    return (target.parent if is_numbered(target) else target).resolve()


def _files_behind(target: Path, source: Source) -> list[Path]:
    """The files that a name may stand for."""
    if is_numbered(target):
        return list(target.parent.iterdir()) if target.parent.is_dir() else []
    if isinstance(source, ImageSource) and source.is_folder:
        return [target / path.name for path in source.paths]
    return [target]


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  # the path may be a link
    return status.st_dev, status.st_ino

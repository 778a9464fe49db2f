"""Say what was understood about an input before a long run starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from seg_stream.pipeline.colour import Matrix
from seg_stream.pipeline.sources import open_file
from seg_stream.pipeline.sources.container import open_video, video_stream
from seg_stream.pipeline.sources.images import ImageSource
from seg_stream.pipeline.sources.orientation import orientation
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.sources.video import VideoSource

MATRIX_NAMES = {Matrix.BT601: "BT.601", Matrix.BT709: "BT.709", Matrix.BT2020: "BT.2020"}


@dataclass(frozen=True)
class Description:
    """An input in plain values: what it is, its pictures, and the other streams in words."""

    path: str
    kind: str
    width: int
    height: int
    frames: int | None
    fps: float | None = None
    duration_s: float | None = None
    codec: str | None = None
    pixels: str | None = None
    colour: str | None = None
    rotation: int = 0
    orientation: str = ""
    """In words, if it is not upright."""
    streams: list[str] = field(default_factory=list)
    chapters: int = 0

    def as_json(self) -> dict[str, object]:
        """The same as a dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        """One line for people."""
        if self.kind != "video":
            size = f" of {self.width}x{self.height}" if self.width else ""
            return f"{self.path}: {self.frames} picture{'' if self.frames == 1 else 's'}{size}"
        parts = [f"{self.codec} {self.width}x{self.height}", f"{self.fps:.5g} fps"]
        if self.duration_s is not None:
            minutes, seconds = divmod(self.duration_s, 60)
            parts.append(f"{int(minutes)}:{seconds:04.1f}")
        parts.append(f"{self.pixels} {self.colour}")
        if self.orientation:
            parts.append(self.orientation)
        text = f"{self.path}: {', '.join(parts)}"
        for stream in self.streams:
            text += f"; {stream}"
        return text + (f"; {self.chapters} chapters" if self.chapters else "")


def describe(path: Path, trim: Trim | None = None) -> Description:
    """Open an input, look at its header and first frame, and close it again.

    Raises:
        UserError: it cannot be read.
    """
    with open_file(path, trim) as source:
        if isinstance(source, ImageSource):
            return Description(str(path), "pictures", source.width, source.height, source.frames)
        first = source.first if isinstance(source, VideoSource) else None
        frames, rate = source.frames, source.rate
        width, height = source.width, source.height
    with open_video(path) as container:
        stream = video_stream(container)
        others = [_words(other) for other in container.streams if other is not stream]
        chapters = len(container.chapters())
        codec = stream.codec_context.codec.canonical_name
    colour = source.colour_of(first) if isinstance(source, VideoSource) and first else None
    return Description(
        path=str(path),
        kind="video",
        width=width,
        height=height,
        frames=frames,
        fps=float(rate),
        duration_s=float(frames / rate) if frames else None,
        codec=codec,
        pixels=first.format.name if first else None,
        colour=(
            f"{MATRIX_NAMES[colour.matrix(height)]} {'full' if colour.full_range else 'limited'}"
            if colour
            else None
        ),
        rotation=orientation(first).degrees if first else 0,
        orientation=str(orientation(first)) if first else "",
        streams=others,
        chapters=chapters,
    )


def _words(stream: object) -> str:
    kind = getattr(stream, "type", "data")
    context = getattr(stream, "codec_context", None)
    name = context.codec.canonical_name if context else "unknown"
    words = [kind, name]
    if kind == "audio" and context:
        words.append(f"{context.sample_rate} Hz {context.layout.name}")
    language = getattr(stream, "metadata", {}).get("language")
    if language and language != "und":
        words.append(f"({language})")
    return " ".join(words)

"""Open a video file and find one's way in it."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.stream import Disposition

from seg_stream.pipeline.errors import UserError

NOT_VIDEO = {"hls": "a playlist", "concat": "a list of files", "tty": "a text"}
"""FFmpeg's formats that lead to other files, or turn anything into pictures."""


def open_video(path: Path, hwaccel: HWAccel | None = None) -> av.container.InputContainer:
    """Open a file that should hold video; its decoder may use the hardware.

    Raises:
        UserError: it is missing, unreadable, or has no video stream.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a folder or a device, expected a video file.")
    try:
        # Absolute, since FFmpeg takes what stands before a colon for a protocol.
        container = av.open(
            str(path.absolute()), mode="r", metadata_errors="replace", hwaccel=hwaccel
        )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the name.") from None
    except PermissionError:
        raise UserError(f"{path} may not be read; check its permissions.") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path} is not a video that can be read ({reason}).") from None
    kind = container.format.name
    if kind in NOT_VIDEO or not _moving(container):
        container.close()
        what = f"is {NOT_VIDEO[kind]}" if kind in NOT_VIDEO else "has no video stream"
        raise UserError(f"{path} {what}, expected a video file.")
    return container


SEEKABLE = ("mov", "matroska")
"""FFmpeg's formats in which a seek surely leads to a key frame; others are read from the start."""


def seek(container: av.container.InputContainer, stream: av.VideoStream, pts: int) -> None:
    """Go to the key frame before a time where that is sure to work, else stay at the start."""
    if can_seek(container):
        with suppress(av.FFmpegError, OSError):
            container.seek(pts, stream=stream)


def can_seek(container: av.container.InputContainer) -> bool:
    """Whether a part of a file can be found without reading all before."""
    return container.format.name.split(",")[0] in SEEKABLE


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The first stream that is a video and not a cover picture."""
    return _moving(container)[0]


def _moving(container: av.container.InputContainer) -> list[av.VideoStream]:
    videos = container.streams.video
    return [stream for stream in videos if not stream.disposition & Disposition.attached_pic]


def last_time_s(path: Path, claimed_s: Fraction) -> Fraction | None:
    """When the last frame up to a time begins, in seconds from the file's beginning.

    A header may claim anything, so the packets there are looked at; None if there are none. The
    file is one in which a seek works.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        base, begin_pts = Fraction(stream.time_base or 1), stream.start_time or 0
        claimed_pts = begin_pts + round(claimed_s / base)
        seek(container, stream, claimed_pts)
        last_pts: int | None = None
        with suppress(av.FFmpegError, OSError):
            for packet in container.demux(stream):
                if packet.pts is not None and packet.size:
                    last_pts = max(packet.pts, last_pts or packet.pts)
                    if last_pts >= claimed_pts:
                        break
    return None if last_pts is None else (last_pts - begin_pts) * base


def duration_s(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Fraction | None:
    """How long the header says the video lasts, if it does."""
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    if container.duration is not None:
        return Fraction(container.duration, av.time_base)
    return None

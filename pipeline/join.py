"""Join the segments of a long conversion: packets are copied, their times are set anew."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.sinks.video_file import VideoFile
from seg_stream.pipeline.sources.container import open_video
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.work_folder import Piece


def join(
    pieces: Sequence[tuple[Path, Piece]],
    output: Path,
    time_base: Fraction,
    rate: Fraction,
    *,
    shown_as: Path,
    sound_from: Path | None = None,
    trim: Trim | None = None,
    end_s: float | None = None,
) -> list[str]:
    """Write one video file of all pieces; returns notes on what could not be carried over.

    Args:
        pieces: in their order, none of them empty.
        output: the file, replaced if it is there; it appears when it is whole.
        time_base: unit of the packets' times, in seconds.
        rate: nominal frames a second.
        shown_as: what notes and errors call the output.
        sound_from: file whose sound and subtitles are copied.
        trim: the part of that file which the pictures are from.
        end_s: where the sound ends, if not with that file.

    Raises:
        SegStreamError: the output cannot be written, or the pieces do not fit together.
    """
    pts = [time for _, piece in pieces for time in piece.packet_pts]
    times = iter(zip(pts, _decoding_times(pts), strict=True))
    file = VideoFile(output, sound_from=sound_from, trim=trim, shown_as=shown_as, overwrite=True)
    stream: av.VideoStream | None = None
    try:
        for path, piece in pieces:
            with open_video(path) as container:
                source = container.streams.video[0]
                with file.writing():
                    stream = stream or _begin(file, source, time_base, rate)
                if source.codec_context.extradata != stream.codec_context.extradata:
                    raise SegStreamError(
                        f"{shown_as} cannot be joined, since {path.name} is of another kind than "
                        "those before it; convert it with --segment 0."
                    )
                count = 0
                for packet in container.demux(source):
                    if not packet.size:
                        continue
                    count += 1
                    if count <= len(piece.packet_pts):
                        duration_s = (packet.duration or 0) * packet.time_base
                        packet.pts, packet.dts = next(times)
                        packet.time_base = time_base
                        packet.duration = round(duration_s / time_base)
                        packet.stream = stream
                        with file.writing():
                            file.mux(packet)
                if count != len(piece.packet_pts):
                    raise SegStreamError(
                        f"{path} holds {count} frames, expected {len(piece.packet_pts)}; remove "
                        f"{path.parent} and run it again."
                    )
        with file.writing():
            file.finish(end_s)
    except BaseException:
        file.discard()
        raise
    return file.notes


def _begin(
    file: VideoFile, source: av.VideoStream, time_base: Fraction, rate: Fraction
) -> av.VideoStream:
    # Opaque, since there is no encoder by the name of AV1's decoder.
    stream = file.container.add_stream_from_template(source, opaque=True)
    if not isinstance(stream, av.VideoStream):
        raise TypeError("a video's copy is no video")
    stream.time_base = time_base
    stream.codec_context.framerate = rate  # else Matroska takes the ticks of H.264 for it
    # FFmpeg would choose another tag, which some players do not know (hev1 for hvc1).
    stream.codec_context.codec_tag = source.codec_context.codec_tag
    stream.metadata.update(
        {key: value for key, value in source.metadata.items() if key.lower() == "alpha_mode"}
    )
    file.begin(stream)
    return stream


def _decoding_times(pts: Sequence[int]) -> list[int]:
    """Rising times, none later than the packet's own: the sorted times, moved on by the reordering.

    Raises:
        SegStreamError: two frames have the same time.
    """
    shown = sorted(pts)
    if len(set(shown)) < len(shown):
        raise SegStreamError(
            "Two segments hold a frame of the same time; convert the file with --segment 0."
        )
    late = max(i - bisect_left(shown, time) for i, time in enumerate(pts))
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    before = [shown[0] - step * (late - i) for i in range(late)]
    return (before + shown)[: len(shown)]

"""The ways of converting a file that are compared; each is one process, `python -m … WAY …`.

It prints how many frames it has done, as JSON. Each imports what it needs itself: its start counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.encoding import Encoding, choose_encoder


def reencode(clip: Path, output: Path, *_: object) -> int:
    """Decode and encode, with nothing in between: what a conversion costs at least.

    The encoder is the one of `seg-stream`, with the same settings; both codecs have the threads
    that FFmpeg gives them; sound is copied.
    """
    encoder = choose_encoder(output, Encoding())
    frames = 0
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        video = source.streams.video[0]
        video.thread_type = "AUTO"
        encoded = target.add_stream(encoder.name, video.average_rate, dict(encoder.options))
        if not isinstance(encoded, av.VideoStream):
            raise TypeError(f"{encoder.name} is not a video encoder")
        encoded.width, encoded.height, encoded.pix_fmt = video.width, video.height, video.pix_fmt
        encoded.codec_context.time_base = video.time_base or Fraction(1, av.time_base)
        sounds = source.streams.audio
        copies = {sound: target.add_stream_from_template(sound) for sound in sounds}
        for packet in source.demux(video, *sounds):
            if packet.stream in copies:
                if packet.dts is not None:  # what ends a stream has no time
                    packet.stream = copies[packet.stream]
                    target.mux(packet)
                continue
            for picture in video.decode(packet):
                picture.pict_type = PictureType.NONE  # else the kinds of the source are forced
                target.mux(encoded.encode(picture))
                frames += 1
        target.mux(encoded.encode(None))
    return frames


def one_thread(clip: Path, output: Path, model: str, background: Path) -> int:
    """The pipeline's own functions, frame by frame in one thread."""
    from seg_stream.pipeline.effect import VirtualBackground
    from seg_stream.pipeline.sinks.video import VideoSink
    from seg_stream.pipeline.sources.video import VideoSource

    frames = 0
    with (
        VideoSource(clip) as source,
        VirtualBackground(background, model=model) as effect,
        VideoSink(output, source.rate, sound_from=clip) as sink,
    ):
        for frame in source:
            sink.write(effect.process(frame))
            frames += 1
    return frames


def plain(clip: Path, output: Path, model: str, background: Path) -> int:
    """The loop that people write."""
    from seg_stream.benchmarks.plain import plain_loop
    from seg_stream.engines.models import find_model

    return plain_loop(clip, output, find_model(model), background)


def mediapipe(clip: Path, output: Path, model: str, background: Path) -> int:
    """MediaPipe's own call in that loop."""
    from seg_stream.benchmarks.adapters import mediapipe_loop

    return mediapipe_loop(clip, output, model, background)


def rembg(clip: Path, output: Path, model: str, background: Path) -> int:
    """Likewise rembg's."""
    from seg_stream.benchmarks.adapters import rembg_loop

    return rembg_loop(clip, output, model, background)


WAYS: dict[str, Callable[[Path, Path, str, Path], int]] = {
    "re-encode": reencode,
    "one-thread": one_thread,
    "plain-loop": plain,
    "mediapipe": mediapipe,
    "rembg": rembg,
}


def main() -> int:
    """Convert once: WAY CLIP OUTPUT MODEL BACKGROUND; returns the exit code."""
    way, clip, output, model, background = sys.argv[1:]
    try:
        frames = WAYS[way](Path(clip), Path(output), model, Path(background))
    except (UserError, av.FFmpegError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"frames": frames}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What `convert` costs beyond plainly decoding and encoding the same file again, in one run.

Plain is a loop in PyAV: every picture goes straight from the decoder to the encoder that `convert`
would choose for .mp4, with the same settings; sound is copied packet by packet. Both codecs have
the threads that FFmpeg gives them by itself, so that decoding and encoding overlap.

Plain and `convert` alternate, so that a machine that slows down slows both. Each is a process of
its own, in which nothing is warm; its clock runs from after the imports until the file is whole: it
counts the opening of file and model, but not the start of Python.
`python -m seg_stream.benchmarks.transcode -h`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from time import perf_counter

import av
from av.video.frame import PictureType
from rich.console import Console
from rich.table import Table

from seg_stream.pipeline import UserError, convert
from seg_stream.pipeline.sinks.encoding import Encoding, choose_encoder


def reencode(clip: Path, output: Path) -> None:
    """Decode and encode a clip, with nothing in between."""
    encoder = choose_encoder(output, Encoding())
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
        target.mux(encoded.encode(None))


def run_once(way: str, clip: Path, background: str, every: int) -> float:
    """Do one of the two in this process; returns seconds."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.mp4")
        start = perf_counter()
        if way == "plain":
            reencode(clip, output)
        else:
            convert(clip, output, background=background, every=every)
        return perf_counter() - start


def time_in_process(way: str, clip: Path, options: Sequence[str]) -> float:
    """Do one of the two in a process of its own; returns seconds.

    Raises:
        SystemExit: it failed, and has said why.
    """
    module = "seg_stream.benchmarks.transcode"
    command = [sys.executable, "-m", module, str(clip), "--once", way, *options]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        sys.exit(result.returncode)
    return float(result.stdout)


def main() -> int:
    """Print a table with a line for each clip; returns the exit code, 1 if a limit is not held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--bg", default="blur", metavar="PICTURE", help="as for seg-stream")
    parser.add_argument("--repeats", type=int, default=3, help="after one that does not count")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="as for seg-stream")
    parser.add_argument(
        "--limit", type=_limit, action="append", default=[], metavar="NAME=RATIO",
        help="what the ratio of the clip of that name may be, say talk.mp4=1.5",
    )  # fmt: skip
    parser.add_argument("--once", choices=("plain", "convert"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        try:
            print(run_once(options.once, options.clips[0], options.bg, options.every))
        except (UserError, av.FFmpegError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        return 0
    limits: dict[str, float] = dict(options.limit)
    if strangers := limits.keys() - {clip.name for clip in options.clips}:
        parser.error(f"--limit names {', '.join(sorted(strangers))}, which is no CLIP")
    if options.repeats < 1:
        parser.error("--repeats must be 1 or more")

    table = Table("clip", "plain s", "convert s", "ratio", "from - to", "limit")
    held = True
    for clip in options.clips:
        passed_on = ["--bg", options.bg, "--every", str(options.every)]
        rounds = [
            (time_in_process("plain", clip, passed_on), time_in_process("convert", clip, passed_on))
            for _ in range(1 + options.repeats)
        ][1:]  # the first one has filled the system's caches
        plain_s, convert_s = (median(times) for times in zip(*rounds, strict=True))
        ratios = [ours / plain for plain, ours in rounds]
        ratio, limit = median(ratios), limits.get(clip.name)
        verdict = "" if limit is None else f"{limit:.2f} {'held' if ratio <= limit else 'missed'}"
        held &= limit is None or ratio <= limit
        table.add_row(
            clip.name, f"{plain_s:.2f}", f"{convert_s:.2f}", f"{ratio:.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}", verdict,
        )  # fmt: skip
    Console().print(table)
    print(f"Medians of {options.repeats}; ratio: the median of the pairs' own, and their range.")
    return 0 if held else 1


def _limit(text: str) -> tuple[str, float]:
    name, _, ratio = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=RATIO")
    return name, float(ratio)


if __name__ == "__main__":
    sys.exit(main())

"""The threaded pipeline against the same work done frame by frame in one thread, in one run.

Both decode, prepare, infer, composite and encode every frame with the same functions and settings.
The two alternate, so that a machine that slows down slows both; `python -m
seg_stream.benchmarks.threads -h`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.conversion import convert
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sample import render
from seg_stream.pipeline.sinks.video import VideoSink
from seg_stream.pipeline.sources.video import VideoSource


def in_threads(clip: Path, output: Path, background: str, model: str) -> float:
    """Convert with the pipeline; returns frames a second, from opening to the finished file."""
    start = perf_counter()
    summary = convert(clip, output, background=background, model=model, overwrite=True)
    return summary.run.items / (perf_counter() - start)


def in_one_loop(clip: Path, output: Path, background: str, model: str) -> float:
    """Do the same work frame by frame; returns frames a second likewise."""
    start = perf_counter()
    frames = 0
    with (
        VideoSource(clip) as source,
        VirtualBackground(background, model=model) as effect,
        VideoSink(output, source.rate, sound_from=clip, overwrite=True) as sink,
    ):
        for frame in source:
            sink.write(effect.process(frame))
            frames += 1
    return frames / (perf_counter() - start)


def main() -> int:
    """Print one line a round and the medians; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="video to convert; the sample clip by default")
    parser.add_argument("--bg", default="#00b140")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            clip = options.clip or Path(folder, "sample.mp4")
            if not options.clip:
                render(clip, seconds=8)
            output = Path(folder, "out.mp4")
            ratios, speeds = [], []
            in_threads(clip, output, options.bg, options.model)  # burn-in
            for _ in range(options.rounds):
                loop = in_one_loop(clip, output, options.bg, options.model)
                threads = in_threads(clip, output, options.bg, options.model)
                ratios.append(threads / loop)
                speeds.append(threads)
                print(f"threads {threads:.1f} fps, one loop {loop:.1f} fps, {threads / loop:.2f}x")
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(f"median: threads {median(speeds):.1f} fps, {median(ratios):.2f} times one loop")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Memory over many frames: converts a long clip and watches the process; exits 1 if it grows.

`python -m seg_stream.benchmarks.soak -h`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from seg_stream.pipeline.conversion import convert
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.runner import RunReport
from seg_stream.pipeline.sample import RATE, render

WARM_UP = 0.3
"""Part of the run in which caches fill and the first segments come; it does not count."""

ALLOWED_MIB = 20.0
"""What the fitted line may rise over the whole run."""


def main() -> int:
    """Print the memory along the run; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--bg", default="blur")
    parser.add_argument("--segment", type=int, default=20)
    options = parser.parse_args()
    import psutil

    process = psutil.Process()
    samples: list[tuple[int, float]] = []

    def watch(report: RunReport, _: int | None) -> None:
        if report.items % 25 or (samples and samples[-1][0] == report.items):
            return
        samples.append((report.items, process.memory_info().rss / 2**20))
        if report.items % 500 == 0:
            print(f"{report.items} frames, {samples[-1][1]:.0f} MiB", flush=True)

    try:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder, "long.mp4")
            render(clip, seconds=options.frames / RATE)
            summary = convert(
                clip,
                Path(folder, "out.mp4"),
                background=options.bg,
                segment_s=options.segment,
                progress=watch,
            )
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    frames, memory = np.array(samples).T
    settled = frames > WARM_UP * options.frames
    slope, _ = np.polyfit(frames[settled], memory[settled], 1)
    growth = slope * options.frames
    print(
        f"{summary.run.items} frames: {memory[settled].min():.0f} to {memory[settled].max():.0f} "
        f"MiB, trend {growth:+.1f} MiB over the run (allowed {ALLOWED_MIB:.0f})"
    )
    return int(growth > ALLOWED_MIB)


if __name__ == "__main__":
    sys.exit(main())

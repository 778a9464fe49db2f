"""Ten minutes of everything that cameras do, in real time; exits 1 if something was not right.

`python -m seg_stream.benchmarks.live_soak -h`; the tests play the same on a simulated clock.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from seg_stream.benchmarks.fake_camera import Mishap
from seg_stream.benchmarks.live_stage import Stage, Trouble, Watching
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.session import LiveStatus
from seg_stream.pipeline.sources.reconnecting import STALL_FRAMES, STALL_S

KINDS: tuple[Literal["stall", "unplug", "corrupt", "busy"], ...] = (
    "stall", "unplug", "corrupt", "busy",
)  # fmt: skip

STRANGER = 0.15
"""A picture that correlates less with the room has nothing of it."""

BACK_S = 1.0
"""So soon after the camera's return the picture must be back."""

QUIET_S = 0.15
"""An output hears something this much after a stall can be seen, or earlier."""

WARM_UP, ALLOWED_MIB = 0.3, 20.0
"""Part of the run whose memory does not count; what the fitted line may rise over the rest."""


def mishaps(seconds: float) -> list[Mishap]:
    """Something every half minute, and other sizes from the first to the second third."""
    script = [Mishap(15.0 + 30 * i, KINDS[i % 4], 1.5 + i % 3) for i in range(int(seconds / 30))]
    sizes = [(seconds / 3, (320, 240)), (seconds * 2 / 3, (160, 96))]
    return script + [Mishap(at_s, "resize", size=size) for at_s, size in sizes]


def troubles(seconds: float) -> list[Trouble]:
    """The network fails, hangs, takes everything for the person, and gets slow, in turns."""
    kinds = (("raise", 0.0, 1.0), ("slow", 2.0, 0.01), ("everything", 0.0, 2.0), ("slow", 0.3, 3.0))
    return [
        Trouble(30.0 + 60 * i, for_s, kind, cost_s)
        for i in range(int(seconds / 60))
        for kind, cost_s, for_s in [kinds[i % 4]]
    ]


@dataclass
class Played:
    """What came of it."""

    status: LiveStatus
    sink: Watching
    script: list[Mishap]
    stall_s: float
    """So long without a frame is a stall."""
    slack_s: float = 0.0
    """What a busy machine may take longer."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds and MiB."""

    def complaints(self) -> list[str]:
        """A sentence for everything that was not as it should be."""
        status, seen = self.status, self.sink.seen
        found = []
        if (most := max(one.likeness for one in seen)) >= STRANGER:
            found.append(f"The room was seen: a correlation of {most:.2f}.")
        if status.captured != status.shown + sum(status.dropped.values()):
            found.append(f"The counts do not add up: {status}.")
        real = sum(one.number is not None for one in seen)
        got = status.outputs["output"]
        if got.dropped + len(seen) != status.shown + status.placeholders:
            found.append(f"The output got {len(seen)} of {status.shown + status.placeholders}.")
        if not got.dropped and real != status.shown:
            found.append(f"{status.shown} frames were shown and {real} recognised.")
        if any(after.pts <= before.pts for before, after in pairwise(seen)):
            found.append("Times did not grow.")
        gap_s = max(after.at_s - before.at_s for before, after in pairwise(seen))
        if gap_s > self.stall_s + QUIET_S + self.slack_s:
            found.append(f"The output heard nothing for {gap_s:.2f} s.")
        for mishap in self.script:
            end_s = mishap.at_s + mishap.for_s
            after = (one.at_s for one in seen if one.at_s > end_s and one.number is not None)
            back_s = next(after, np.inf) - end_s
            if mishap.kind != "resize" and back_s > BACK_S + self.slack_s:
                found.append(f"After {mishap} the picture was back after {back_s:.2f} s.")
        if self.memory and self.growth_mib() > ALLOWED_MIB:
            found.append(f"Memory grew by {self.growth_mib():.1f} MiB.")
        return found

    def growth_mib(self) -> float:
        """The rise of a line through the memory over time, after the warm-up."""
        times, memory = np.array(self.memory).T
        settled = times > times[0] + WARM_UP * (times[-1] - times[0])
        slope, _ = np.polyfit(times[settled], memory[settled], 1)
        return float(slope * (times[-1] - times[0]))


def play(clock: Clock, *, seconds: float, rate: int, model: Path | None = None) -> Played:
    """Run a session through it all."""
    stage = Stage(
        clock, model, mishaps(seconds), troubles(seconds), rate=rate, jitter_s=0.02,
        cost_s=0.025 if model else 0.0,
    )  # fmt: skip
    stage.session.add_output("output", stage.sink)
    memory = list[tuple[float, float]]()
    if model is None:
        _watch_memory(stage, seconds, memory)
    status = stage.session.run(duration_s=seconds)
    for at_s, line in stage.lines if model is None else ():
        print(f"{at_s:7.1f} s  {line}")
    slack_s = 0.5 if model is None else 0.0
    stall_s = max(STALL_S, STALL_FRAMES / rate)
    return Played(status, stage.sink, mishaps(seconds), stall_s, slack_s, memory)


def _watch_memory(stage: Stage, seconds: float, memory: list[tuple[float, float]]) -> None:
    import psutil

    process = psutil.Process()

    def note(at_s: float) -> None:
        memory.append((at_s, process.memory_info().rss / 2**20))

    def watch() -> None:
        for at_s in np.arange(1.0, seconds, 1.0):
            stage.clock.sleep(max(0.0, stage.start_s + at_s - stage.clock.now_s()))
            note(float(at_s))

    stage.clock.start(watch, "memory")


def main() -> int:
    """Play it in real time; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=30)
    options = parser.parse_args()
    played = play(Clock(), seconds=options.seconds, rate=options.rate)
    for line in played.status.sentences():
        print(line)
    print(f"Memory: trend {played.growth_mib():+.1f} MiB over the run (allowed {ALLOWED_MIB:.0f})")
    complaints = played.complaints()
    for complaint in complaints:
        print(complaint)
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())

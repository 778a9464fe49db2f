"""Whole files: `seg-stream`, other ways of doing the same, and re-encoding alone, in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from seg_stream.benchmarks.processes import Taken, run_module
from seg_stream.benchmarks.schema import Conversion, Sample
from seg_stream.pipeline.errors import SegStreamError

OURS = "seg-stream"
REENCODE = "re-encode"
COMMAND = "seg_stream.pipeline.entry"
WAYS = "seg_stream.benchmarks.ways"


@dataclass(frozen=True)
class Way:
    """One way of converting a file: its name in the report, and how it is started."""

    name: str
    start: Callable[[Path, Path, Path], Taken]
    """Clip, output and background picture."""
    ours: bool = False
    slow: bool = False
    """It takes so long that a quick run does it once."""


@dataclass
class _Runs:
    frames: int = 0
    taken: list[Taken] = field(default_factory=list)


def seg_stream(name: str, model: str) -> Way:
    """The command itself."""

    def start(clip: Path, output: Path, background: Path) -> Taken:
        return run_module(
            COMMAND, "--input", clip, "--output", output, "--bg", background,
            "--model", model, "--json",
        )  # fmt: skip

    return Way(name, start, ours=True)


def other(name: str, way: str, model: str, *, slow: bool = True) -> Way:
    """One of `ways.WAYS`."""

    def start(clip: Path, output: Path, background: Path) -> Taken:
        return run_module(WAYS, way, clip, output, model, background)

    return Way(name, start, slow=slow)


def measure_files(
    clip: Path,
    background: Path,
    ways: list[Way],
    *,
    rounds: int,
    slow_rounds: int,
    between: Callable[[], None],
    notes: list[str],
) -> list[Conversion]:
    """Convert a clip in every way, in turns: a machine that slows down slows all.

    Args:
        clip: a video.
        background: a picture.
        ways: how; one that fails is left out, with a note.
        slow_rounds: how often the slow ways; the first ones.
        rounds: how often, after one of the first way that fills the system's caches.
        between: called before each round.
        notes: gets a sentence for each way that failed.
    """
    runs = {way.name: _Runs() for way in ways}
    with TemporaryDirectory() as folder:
        output = Path(folder, "out.mp4")
        for number in range(-1, rounds):
            if number >= 0:
                between()
            for way in ways if number >= 0 else ways[:1]:
                if way.name not in runs or (way.slow and number >= slow_rounds):
                    continue
                try:
                    taken = way.start(clip, output, background)
                except SegStreamError as error:
                    notes.append(f"{way.name}, {clip.stem}: {error}")
                    del runs[way.name]
                    continue
                finally:
                    output.unlink(missing_ok=True)
                if number >= 0:
                    runs[way.name].frames = taken.said["frames"]
                    runs[way.name].taken.append(taken)
    return [_sum_up(clip.stem, way, runs[way.name]) for way in ways if way.name in runs]


def _sum_up(clip: str, way: Way, runs: _Runs) -> Conversion:
    frames, taken = runs.frames, runs.taken
    cpu_ms = [1000 * one.cpu_s / frames for one in taken if one.cpu_s is not None]
    said = [one.said for one in taken if "stage_ms" in one.said]
    stages = said[0]["stage_ms"] if said else {}
    return Conversion(
        clip=clip,
        frames=frames,
        way=way.name,
        ours=way.ours,
        fps=Sample.of("fps", [frames / one.wall_s for one in taken]),
        cpu_ms=Sample.of("ms", cpu_ms) if cpu_ms else None,
        memory=Sample.of_known("MiB", [one.memory_mib for one in taken]),
        gpu=Sample.of_known("%", [one.gpu_percent for one in taken]),
        gpu_memory=Sample.of_known("MiB", [one.gpu_memory_mib for one in taken]),
        steady_fps=Sample.of("fps", [one["fps"] for one in said]) if said else None,
        stage_ms={
            stage: Sample.of("ms", [one["stage_ms"][stage] for one in said]) for stage in stages
        },
    )

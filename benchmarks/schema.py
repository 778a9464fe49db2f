"""What a report of `seg-bench` holds: the schema of report.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

Unit = Literal["ms", "s", "fps", "MiB", "cores", "%", "GFLOP/s", "GB/s"]

HIGHER_IS_BETTER: frozenset[str] = frozenset({"fps", "GFLOP/s", "GB/s"})


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(_Plain):
    """A figure measured several times; `spread` is half of the range as a share of the median."""

    unit: Unit
    values: list[float]
    median: float
    spread: float

    @staticmethod
    def of(unit: Unit, values: Sequence[float]) -> Sample:
        """Sum up one or more repeats."""
        middle = median(values)
        spread = (max(values) - min(values)) / 2 / middle if middle else 0.0
        kept = [_round(value) for value in values]
        return Sample(unit=unit, values=kept, median=_round(middle), spread=round(spread, 4))

    @staticmethod
    def of_known(unit: Unit, values: Sequence[float | None]) -> Sample | None:
        """Sum up those that are known; None if none is."""
        known = [value for value in values if value is not None]
        return Sample.of(unit, known) if known else None


class Distribution(_Plain):
    """Percentiles of one figure over many frames or calls."""

    unit: Unit
    p50: float
    p95: float
    p99: float
    max: float

    @staticmethod
    def of(unit: Unit, values: Sequence[float]) -> Distribution:
        """Sum up one or more values."""
        p50, p95, p99, most = (_round(float(v)) for v in np.percentile(values, [50, 95, 99, 100]))
        return Distribution(unit=unit, p50=p50, p95=p95, p99=p99, max=most)


class Machine(_Plain):
    """What ran it; no names of hosts, users or folders."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    gpu: str | None
    versions: dict[str, str]

    @property
    def slug(self) -> str:
        """A short name for files."""
        words = f"{self.processor} {self.cores} cores {self.gpu or ''}"
        return "-".join("".join(c if c.isalnum() else " " for c in words.lower()).split())


class Noise(_Plain):
    """How far apart two measurements of the same work lay, as shares.

    `pairs`: of repeats taken in turns. `drift`: half of the range of the medians over the run.
    `reference`: that work.
    """

    pairs: float
    drift: float
    reference: Sample

    @property
    def limit(self) -> float:
        """A difference up to this is none."""
        return max(self.pairs, self.drift)


class Ceiling(_Plain):
    """What this machine can do at most with so many threads."""

    threads: int
    matrix: Sample
    copy_rate: Sample


class Network(_Plain):
    """A model alone in an engine."""

    model: str
    engine: str
    threads: int
    size: str
    peer: bool
    latency: Sample
    calls: Distribution
    multiply_adds: int | None = None
    bytes: int | None = None
    floor_ms: float | None = None


class StageTime(_Plain):
    """A stage alone; `floor_ms` is what its bytes or operations take at the machine's ceiling."""

    clip: str
    stage: str
    part_of: str | None = None
    time: Sample
    cpu: Sample
    """Milliseconds of all cores together, the codecs' own threads included."""
    frames: Distribution | None = None
    floor_ms: float | None = None


class Conversion(_Plain):
    """A file converted in one way; the clock runs around the whole process."""

    clip: str
    frames: int
    way: str
    ours: bool
    fps: Sample
    cpu_ms: Sample | None = None
    memory: Sample | None = None
    gpu: Sample | None = None
    """How much of the time the GPU was busy, with all that ran on it."""
    gpu_memory: Sample | None = None
    steady_fps: Sample | None = None
    stage_ms: dict[str, Sample] = {}


class Session(_Plain):
    """The pipeline seen from inside: each frame from its capture until it is written."""

    clip: str
    kind: str
    fps: Sample
    latency: Distribution
    median_latency: Sample
    latency_ms: list[float]
    dropped: int
    frames: int
    cpu: Sample
    memory: Sample | None
    gpu: Sample | None = None
    gpu_memory: Sample | None = None
    cold_start: Sample
    warm_start: Sample
    stage_ms: dict[str, Sample]
    level: str = ""
    """Which network a live session ran at its end, and how often."""


class Point(_Plain):
    """One place on a scaling curve."""

    x: float
    label: str
    y: Sample


class Scaling(_Plain):
    """How `y` grows with `x`: y = constant * x ** exponent, fitted to the logarithms."""

    what: str
    x_name: str
    y_name: str
    points: list[Point]
    exponent: float | None
    constant: float | None
    r2: float | None


class Clip(_Plain):
    """A file that was converted."""

    name: str
    width: int
    height: int
    frames: int
    sha256: str


@dataclass(frozen=True)
class Figure:
    """One figure of a report under a name that is the same in every report.

    `ours`: a change for the worse is a regression of this project.
    """

    name: str
    sample: Sample
    ours: bool


class Report(_Plain):
    """One run of `seg-bench`."""

    schema_version: Literal[1] = 1
    seg_stream: str
    date: str
    depth: str
    took_s: float
    machine: Machine
    noise: Noise
    clips: list[Clip]
    ceilings: list[Ceiling]
    networks: list[Network]
    stages: list[StageTime]
    conversions: list[Conversion]
    sessions: list[Session]
    scaling: list[Scaling]
    notes: list[str]

    def figures(self) -> Iterator[Figure]:
        """Everything that two reports can be compared by."""
        for n in self.networks:
            name = f"network {n.model}, {n.engine}, {n.threads} threads"
            yield Figure(name, n.latency, not n.peer)
        for s in self.stages:
            stage = f"{s.part_of}/{s.stage}" if s.part_of else s.stage
            yield Figure(f"stage {stage} alone, {s.clip}", s.time, True)
        for c in self.conversions:
            yield Figure(f"file {c.clip}, {c.way}", c.fps, c.ours)
            if c.memory:
                yield Figure(f"file {c.clip}, {c.way}, memory", c.memory, c.ours)
            for stage, sample in c.stage_ms.items():
                yield Figure(f"file {c.clip}, {c.way}, stage {stage}", sample, c.ours)
        for e in self.sessions:
            yield Figure(f"{e.kind} {e.clip}", e.fps, True)
            yield Figure(f"{e.kind} {e.clip}, latency", e.median_latency, True)
            yield Figure(f"{e.kind} {e.clip}, cold start", e.cold_start, True)
            yield Figure(f"{e.kind} {e.clip}, warm start", e.warm_start, True)
            for stage, sample in e.stage_ms.items():
                yield Figure(f"{e.kind} {e.clip}, stage {stage}", sample, True)
        for curve in self.scaling:
            for point in curve.points:
                yield Figure(f"scaling {curve.what}, {point.label}", point.y, True)


def _round(value: float) -> float:
    """Five digits: more were noise, and make a file long."""
    return float(f"{value:.5g}")

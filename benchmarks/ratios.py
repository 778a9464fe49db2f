"""What a report says about this project beside others: ratios of runs that took turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from seg_stream.benchmarks.files import OURS, REENCODE
from seg_stream.benchmarks.schema import Conversion, Report


@dataclass(frozen=True)
class Ratio:
    """How many times as fast `seg-stream` was as another way, round by round."""

    clip: str
    way: str
    values: list[float]
    noise: float

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def words(self) -> str:
        """The ratio, or that there is no difference."""
        spread = f"{min(self.values):.2f} to {max(self.values):.2f}"
        if len(self.values) == 1:
            spread = "one round"
        if self.way == REENCODE:
            return f"{100 * self.median:.0f}% of its speed"
        if abs(self.median - 1) <= self.noise or min(self.values) <= 1 <= max(self.values):
            return f"no difference ({spread} times)"
        return f"{self.median:.2f} times as fast ({spread})"


def ratios(report: Report) -> Iterator[Ratio]:
    """`seg-stream` with its default model against every other way, for each clip."""
    for ours in _find(report, OURS):
        for other in report.conversions:
            if other.clip == ours.clip and other.way != OURS:
                pairs = zip(ours.fps.values, other.fps.values, strict=False)
                values = [mine / theirs for mine, theirs in pairs]
                yield Ratio(ours.clip, other.way, values, report.noise.limit)


def _find(report: Report, way: str) -> list[Conversion]:
    return [conversion for conversion in report.conversions if conversion.way == way]

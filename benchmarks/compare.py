"""Compare two reports: what got faster or slower by more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from seg_stream.benchmarks.schema import HIGHER_IS_BETTER, Figure, Report


@dataclass(frozen=True)
class Change:
    """One figure that changed; `factor` is how many times as fast (or as small) it is now."""

    name: str
    unit: str
    before: float
    after: float
    factor: float
    tolerance: float
    ours: bool

    @property
    def words(self) -> str:
        """What a user reads."""
        better, worse = ("smaller", "larger") if self.unit == "MiB" else ("faster", "slower")
        times = self.factor if self.factor > 1 else 1 / self.factor
        return (
            f"{self.name}: {better if self.factor > 1 else worse} by {times:.2f} times, "
            f"{self.before:.4g} -> {self.after:.4g} {self.unit} "
            f"(noise {100 * self.tolerance:.0f}%)"
        )


@dataclass(frozen=True)
class Comparison:
    """All that changed, the largest first, and how many figures did not."""

    changes: list[Change]
    same: int
    notes: list[str]

    @property
    def regressions(self) -> list[Change]:
        """What of this project got worse."""
        return [change for change in self.changes if change.ours and change.factor < 1]


def compare(before: Report, after: Report) -> Comparison:
    """Compare the figures that both have.

    A figure changed if the ratio of its medians is beyond: the noise that either run measured, the
    spread of its own repeats in both, and how much the reference work, which no change of this
    project touches, differed between the two runs.
    """
    notes = []
    if before.machine.slug != after.machine.slug:
        notes.append(
            f"The machines differ ({before.machine.processor}, {after.machine.processor}): this "
            "says which is faster, not what a change did."
        )
    sums = {clip.name: clip.sha256 for clip in before.clips}
    notes += [
        f"The clip {clip.name} is another one in the second report."
        for clip in after.clips
        if sums.get(clip.name, clip.sha256) != clip.sha256
    ]
    olds = {figure.name: figure for figure in before.figures()}
    pairs = [(olds[new.name], new) for new in after.figures() if new.name in olds]
    if not pairs:
        notes.append("The two reports have no figure in common.")
    machine = _machine_tolerance(before, after)
    changes = [change for old, new in pairs if (change := _change(old, new, machine))]
    changes.sort(key=lambda change: -max(change.factor, 1 / change.factor))
    return Comparison(changes, len(pairs) - len(changes), notes)


def _machine_tolerance(before: Report, after: Report) -> float:
    old, new = before.noise.reference.median, after.noise.reference.median
    return max(before.noise.limit, after.noise.limit, max(old, new) / min(old, new) - 1)


def _change(old: Figure, new: Figure, machine: float) -> Change | None:
    was, now = old.sample.median, new.sample.median
    if was <= 0 or now <= 0:
        return None
    factor = now / was if new.sample.unit in HIGHER_IS_BETTER else was / now
    tolerance = max(machine, hypot(old.sample.spread, new.sample.spread))
    if max(factor, 1 / factor) - 1 <= tolerance:
        return None
    return Change(new.name, new.sample.unit, was, now, factor, tolerance, new.ours)

"""The comparison of architectures as it is written down."""

from __future__ import annotations

from seg_stream.benchmarks.architectures import Row, table
from seg_stream.benchmarks.operations import Operations


def row(name: str, iou: float) -> Row:
    scores = {"iou": iou, "boundary_f": 0.5, "alpha_error": 0.1}
    return Row(name, {"ccp": {}, "all": scores}, 12.34, Operations(2_000_000_000, 1_300_000, 1))


def test_the_best_overlap_comes_first_and_the_budget_is_said() -> None:
    text = table([row("unet", 0.6), row("fcn8s", 0.7)], "96x64", 3200)
    assert "the same 3,200 composites of 96x64 pixels" in text
    assert text.index("`fcn8s`") < text.index("`unet`")
    assert "| `unet` | 0.600 | 0.500 | 0.1000 | 1.30 M | 2,000 M | 12.3 ms |" in text

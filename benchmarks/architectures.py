"""Train every architecture on the same samples and compare them.

`python -m seg_stream.benchmarks.architectures --data DATA [--imagenet WEIGHTS.pth]`; about an hour.

Each sees the same composites in the same order, at the same size, from random weights, for the same
number of epochs; `unet_lite` once more from ImageNet weights if they are given. The table goes to
`docs/architectures.md`, a picture of the first validation samples beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seg_stream.benchmarks.operations import Operations, count_operations
from seg_stream.training.networks import ARCHITECTURES


@dataclass(frozen=True)
class Row:
    """One trained network: its scores on the suite's validation split, its price."""

    name: str
    scores: dict[str, dict[str, float]]
    latency_ms: float
    operations: Operations
    minutes: float


def main() -> int:
    """Train what is not trained yet, score all, write the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--imagenet", type=Path)
    parser.add_argument("--size", default="128x96")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=1600)
    parser.add_argument("--table", type=Path, default=Path("docs/architectures.md"))
    options = parser.parse_args()

    runs: dict[str, list[str]] = {name: [] for name in ARCHITECTURES}
    if options.imagenet:
        runs["unet_lite from ImageNet"] = ["--imagenet", str(options.imagenet)]
    minutes = {}
    for name, more in runs.items():
        out = _folder(options.runs, name)
        minutes[name] = _train(name.split()[0], out, options, more)
        model = out / f"{out.name}.onnx"
        if not model.exists():
            _run("seg_stream.export.command", str(out / "final.keras"), "-o", str(model))
    folders = [_folder(options.runs, name) for name in runs]
    models = [folder / f"{folder.name}.onnx" for folder in folders]
    scores = options.runs / "scores.json"
    _run(
        "seg_stream.training.evaluation.command",
        *map(str, models), "--data", str(options.data), "--split", "val", "--json", str(scores),
    )  # fmt: skip
    reports = json.loads(scores.read_text())["models"]
    rows = [
        Row(
            name,
            report["suite"],
            report["latency_ms"],
            count_operations(model),
            minutes[name],
        )
        for name, model, report in zip(runs, models, reports, strict=True)
    ]
    text = table(rows, options.size, options.epochs * options.samples)
    options.table.write_text(text)
    _draw(list(runs), options.runs, options.table.with_suffix(".jpg"))
    print(text)
    return 0


def table(rows: list[Row], size: str, composites: int) -> str:
    """The comparison as a Markdown table, the best IoU first."""
    lines = [
        f"Trained on the same {composites:,} composites of {size} pixels, AdamW at 1e-3, then",
        "scored on the validation split of the `portrait` suite (F: outline within 2 px at 256",
        "rows; MAD: mean error of alpha). Latency: ONNX Runtime, all in one run, taking turns.",
        "",
        "| network | IoU | F | MAD | parameters | multiply-adds | latency | training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row.scores["all"]["iou"]):
        scores, operations = row.scores["all"], row.operations
        lines.append(
            f"| `{row.name}` | {scores['iou']:.3f} | {scores['boundary_f']:.3f} "
            f"| {scores['alpha_error']:.4f} | {operations.parameters / 1e6:.2f} M "
            f"| {operations.multiply_adds / 1e6:,.0f} M | {row.latency_ms:.1f} ms "
            f"| {row.minutes:.0f} min |"
        )
    return "\n".join(lines) + "\n"


def _train(arch: str, out: Path, options: argparse.Namespace, more: list[str]) -> float:
    """Train, unless it is done; returns the minutes it took."""
    clock = out / "minutes.txt"
    if not clock.exists():
        start = time.perf_counter()
        _run(
            "seg_stream.training.command",
            "--arch", arch, "--data", str(options.data), "--out", str(out),
            "--size", options.size, "--epochs", str(options.epochs),
            "--samples", str(options.samples), "--patience", str(options.epochs), *more,
        )  # fmt: skip
        clock.write_text(f"{(time.perf_counter() - start) / 60:.2f}\n")
    return float(clock.read_text())


def _folder(runs: Path, name: str) -> Path:
    return runs / name.replace(" ", "_")


def _draw(names: list[str], runs: Path, path: Path) -> None:
    rows = []
    for name in names:
        picture = cv2.imread(str(_folder(runs, name) / "predictions.png"))
        if picture is not None:
            row = np.asarray(picture[: picture.shape[0] // 4], np.uint8)
            cv2.putText(row, name, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
            rows.append(row)
    cv2.imwrite(str(path), np.vstack(rows))


def _run(module: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-c", f"from {module} import main; main()", *arguments], check=True
    )


if __name__ == "__main__":
    sys.exit(main())

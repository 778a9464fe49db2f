"""Train every architecture on the same samples and compare them.

`python -m seg_stream.benchmarks.architectures --data DATA [--imagenet WEIGHTS.pth]`

Each sees the same composites in the same order, at the same size, from random weights, for the same
number of epochs; `unet_lite` once more from ImageNet weights if they are given. The table goes to
`docs/architectures.md`, a picture of the first validation samples beside it. Interrupted, the same
command goes on where it was. What a network costs does not depend on what it learned: `--prices`
measures that alone, in a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seg_stream.benchmarks.operations import Operations, count_operations
from seg_stream.engines.model_info import METADATA_KEY, ModelInfo
from seg_stream.engines.select import open_engine
from seg_stream.export.command import parse_size
from seg_stream.export.interface import read_interface
from seg_stream.export.keras_to_onnx import keras_to_onnx
from seg_stream.export.onnx_export import export_onnx
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.training.evaluation.report import time_engines
from seg_stream.training.evaluation.suite import Case
from seg_stream.training.networks import ARCHITECTURES
from seg_stream.training.run import read_casts, train
from seg_stream.training.settings import TrainSettings

PRICED_SIZE = (160, 256)
PRICED_THREADS = 2
YARDSTICK = "unet_lite"
"""What the others' latency is given against: the one made for a CPU."""


@dataclass(frozen=True)
class Row:
    """One trained network: its scores on the suite's test split, its price."""

    name: str
    scores: dict[str, dict[str, float]]
    latency_ms: float
    operations: Operations


def main() -> int:
    """Train what is not trained yet, score all, write the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--prices", action="store_true", help="train nothing, print the costs")
    parser.add_argument("--runs", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--imagenet", type=Path)
    parser.add_argument("--size", default="128x96")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=1600)
    parser.add_argument("--validation", type=int, default=256)
    parser.add_argument("--table", type=Path, default=Path("docs/architectures.md"))
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.prices:
        print(prices())
        return 0
    if not options.data:
        parser.error("--data is missing; give the folder of pairs, or --prices")
    try:
        text = compare(options)
    except SegStreamError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    text += "\n" + prices()
    options.table.write_text(text)
    print(text)
    return 0


def compare(options: argparse.Namespace) -> str:
    """Train, export, score and count; returns the table."""
    width, height = reversed(parse_size(options.size))
    common = {
        "data": options.data,
        "size": (width, height),
        "epochs": options.epochs,
        "patience": options.epochs,
        "samples": options.samples,
        "validation": options.validation,
    }
    runs = {name: TrainSettings(arch=name, **common) for name in ARCHITECTURES}
    if options.imagenet:
        name = "unet_lite from ImageNet"
        runs[name] = TrainSettings(arch="unet_lite", imagenet=options.imagenet, **common)
    folders = {name: options.runs / name.replace(" ", "_") for name in runs}
    models = {name: folder / f"{folder.name}.onnx" for name, folder in folders.items()}
    missing = {name: settings for name, settings in runs.items() if not models[name].exists()}
    casts = read_casts(next(iter(runs.values())), ("train", "val")) if missing else []
    for name, settings in missing.items():
        import keras

        print(f"{name}:", flush=True)
        export_onnx(train(settings, folders[name], casts=casts), models[name])
        keras.utils.clear_session()
    scores = options.runs / "scores.json"
    _score(list(models.values()), options.data, scores)
    reports = json.loads(scores.read_text())["models"]
    rows = [
        Row(name, report["suite"], report["latency_ms"], count_operations(model))
        for (name, model), report in zip(models.items(), reports, strict=True)
    ]
    _draw(folders, options.table.with_suffix(".jpg"))
    return table(rows, options.size, options.epochs * options.samples)


def table(rows: list[Row], size: str, composites: int) -> str:
    """The comparison as a Markdown table, the best IoU first."""
    lines = [
        f"Trained on the same {composites:,} composites of {size} pixels, AdamW at 1e-3, then",
        "scored on the test split of the `portrait` suite (F: outline within 2 px at 256",
        "rows; MAD: mean error of alpha). Latency: ONNX Runtime, all in one run, taking turns.",
        "",
        "| network | IoU | F | MAD | parameters | multiply-adds | latency |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row.scores["all"]["iou"]):
        scores, operations = row.scores["all"], row.operations
        lines.append(
            f"| `{row.name}` | {scores['iou']:.3f} | {scores['boundary_f']:.3f} "
            f"| {scores['alpha_error']:.4f} | {operations.parameters / 1e6:.2f} M "
            f"| {operations.multiply_adds / 1e6:,.0f} M | {row.latency_ms:.1f} ms |"
        )
    return "\n".join(lines) + "\n"


def prices() -> str:
    """What each costs at its default width and `portrait-lite`'s size, as a Markdown table."""
    height, width = PRICED_SIZE
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        models = {name: _untrained(name, Path(folder)) for name in ARCHITECTURES}
        engines = [
            stack.enter_context(open_engine("onnxruntime", model, threads=PRICED_THREADS))
            for model in models.values()
        ]
        grey = np.full((height, width, 3), 128, np.uint8)
        times_ms = time_engines(engines, Case(grey, grey[..., 0]), runs=30)
        counts = [count_operations(model) for model in models.values()]
    unit_ms = times_ms[list(models).index(YARDSTICK)]
    lines = [
        f"What one frame of {width}x{height} costs, whatever was learned. Latency is given against",
        f"`{YARDSTICK}`: ONNX Runtime with {PRICED_THREADS} threads, all in one run, taking turns,",
        "median of 30.",
        "",
        "| network | parameters | multiply-adds | latency |",
        "|---|---|---|---|",
    ]
    for (name, arch), count, time_ms in zip(ARCHITECTURES.items(), counts, times_ms, strict=True):
        lines.append(
            f"| `{name}`, width {arch.width} | {count.parameters / 1e6:.2f} M "
            f"| {count.multiply_adds / 1e6:,.0f} M | {time_ms / unit_ms:.1f} x |"
        )
    return "\n".join(lines) + "\n"


def _untrained(name: str, folder: Path) -> Path:
    import onnx

    arch = ARCHITECTURES[name]
    model = arch.build((*PRICED_SIZE, 3), arch.width)
    graph = keras_to_onnx(model, read_interface(model))
    info = ModelInfo(name=name, version="", trained_on="", licence="")
    graph.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    path = folder / f"{name}.onnx"
    onnx.save(graph, path)
    return path


def _score(models: list[Path], data: Path, scores: Path) -> None:
    """Compare them with `seg-eval`, in a process without TensorFlow's threads."""
    module = "seg_stream.training.evaluation.command"
    arguments = [*models, "--data", data, "--split", "test", "--json", scores]
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True)


def _draw(folders: dict[str, Path], path: Path) -> None:
    """A row of validation samples from each run: picture, true alpha, found alpha, overlay."""
    rows = []
    for name, folder in folders.items():
        picture = cv2.imread(str(folder / "predictions.png"))
        if picture is not None:
            row = np.asarray(picture[: picture.shape[0] // 4], np.uint8)
            cv2.putText(row, name, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
            rows.append(row)
    cv2.imwrite(str(path), np.vstack(rows))


if __name__ == "__main__":
    sys.exit(main())

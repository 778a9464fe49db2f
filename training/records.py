"""Pictures of a training run: what the network sees, how it learns, what it finds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from seg_stream.pipeline.sinks.part_file import write_whole
from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.training.composites import Cast, compose
from seg_stream.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

TINT_BGR = (64, 176, 0)
"""The colour laid over what was found."""


def draw_samples(cast: Cast, settings: TrainSettings, path: Path) -> None:
    """Write a sheet of 40 training samples, each beside its alpha."""
    tiles = []
    for i in range(40):
        rgb, alpha = compose(cast, settings.size, np.random.default_rng([settings.seed, 0, i]))
        tiles.append(np.hstack([rgb[:, :, ::-1], cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)]))
    write_whole(path, to_png(grid(tiles, columns=5)))


def grid(tiles: list[Image], columns: int) -> Image:
    """Pictures of one size, uint8 (H, W, 3), in rows from left to right; what is left is black."""
    padded = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)])


def draw_curves(log: list[dict[str, float]], path: Path) -> None:
    """Plot loss, IoU and learning rate over the epochs of a run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] + 1 for row in log]
    for i, (name, label) in enumerate((("loss", "loss"), ("iou", "IoU"))):
        axes = figure.add_subplot(1, 3, i + 1)
        axes.plot(epochs, [row[name] for row in log], label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in log], label="validation")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    axes = figure.add_subplot(1, 3, 3)
    axes.plot(epochs, [row["learning_rate"] for row in log])
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    axes.grid(alpha=0.3)
    picture = BytesIO()
    figure.savefig(picture, dpi=100, format="png")
    write_whole(path, picture.getvalue())


def draw_predictions(
    model: keras.Model, batch: tuple[FloatImage, FloatImage], path: Path, count: int = 8
) -> None:
    """Write image, true alpha, predicted alpha and overlay of the first samples of a batch."""
    import keras

    pixels, alpha = (array[:count] for array in batch)
    # Plainly called: compiling a second graph would take longer than many such calls.
    outputs = keras.ops.convert_to_numpy(model(pixels, training=False))
    found = np.asarray(outputs, np.float32).mean(axis=-1)
    unit = pixels * np.float32(255 if pixels.max() <= 1 else 1)
    rows = [
        picture_row(rgb[..., ::-1].astype(np.uint8), to_bytes(true[..., 0]), to_bytes(predicted))
        for rgb, true, predicted in zip(unit, alpha, found, strict=True)
    ]
    write_whole(path, to_png(grid(rows, columns=2)))


def picture_row(frame_bgr: Image, alpha_hw: Image, found_hw: Image) -> Image:
    """Image, true alpha, found alpha and the found person tinted, side by side; all uint8."""
    weight = found_hw[..., None].astype(np.float32) / 510
    overlay = frame_bgr * (1 - weight) + np.array(TINT_BGR, np.float32) * weight
    grey = [cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR) for mask in (alpha_hw, found_hw)]
    return np.hstack([frame_bgr, *grey, overlay.astype(np.uint8)])


def to_png(picture: Image) -> bytes:
    """A picture, (H, W) or (H, W, 3) BGR, as the content of a PNG file."""
    return cv2.imencode(".png", picture)[1].tobytes()


def to_bytes(alpha: FloatImage) -> Image:
    """An alpha of 0..1 as 0..255, rounded; what is outside is clipped."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)

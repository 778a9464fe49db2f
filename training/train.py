"""Train the slim U-Net on composites of people in rooms; `python -m seg_stream.training.train -h`.

Writes to the run folder: `log.csv` (one line an epoch), `sheet.png` (what the network sees),
`last.keras` (with the optimiser's state: the same command resumes from it), `best.keras`
and, at the end, `final.keras` with the averaged weights, ready for `seg-export`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.training.composites import Cast, compose
from seg_stream.training.dataset import Composites
from seg_stream.training.losses import iou, matte_loss
from seg_stream.training.networks.unet_lite import unet_lite
from seg_stream.training.pairs import load_backgrounds, load_ccp, load_headshots

WARM_UP_EPOCHS = 1


def main() -> int:
    """Parse the command line, train, and return the exit code."""
    options = _parse()
    try:
        train(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def train(options: argparse.Namespace) -> None:
    """Run the training that `options` (see `_parse`) describe, or resume it.

    Raises:
        UserError: data are missing or unreadable.
    """
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    last, log = out / "last.keras", out / "log.csv"
    done = _epochs_done(log) if last.exists() else 0
    settings = {k: str(v) for k, v in vars(options).items()} | {"keras": keras.__version__}
    (out / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")

    print("reading the data", flush=True)
    training, validation = (_cast(options.data, split) for split in ("train", "val"))
    _contact_sheet(training, options.size, options.seed, out / "sheet.png")

    common = {"size": options.size, "batch": options.batch, "workers": options.workers}
    batches = Composites(training, samples=options.samples, seed=options.seed, epoch=done, **common)
    held_out = Composites(validation, samples=256, seed=options.seed + 1, vary=False, **common)

    if done:
        model = keras.models.load_model(
            last, custom_objects={"matte_loss": matte_loss, "iou": iou}, safe_mode=True
        )
        print(f"resuming after epoch {done}", flush=True)
    else:
        model = unet_lite((options.size, options.size, 3), options.width)
        optimizer = keras.optimizers.AdamW(
            options.rate, weight_decay=1e-4, use_ema=True, ema_momentum=0.998, clipnorm=1.0
        )
        model.compile(optimizer, loss=matte_loss, metrics=[iou])

    def rate(epoch: int) -> float:
        if epoch < WARM_UP_EPOCHS:
            return float(options.rate) * 0.2
        progress = (epoch - WARM_UP_EPOCHS) / max(options.epochs - WARM_UP_EPOCHS, 1)
        return float(options.rate) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    model.fit(
        batches,
        validation_data=held_out,
        epochs=options.epochs,
        initial_epoch=done,
        shuffle=False,
        verbose=2,
        callbacks=[
            keras.callbacks.LearningRateScheduler(rate),
            SaveLast(last),
            # From here to the end of the epoch's callbacks the averaged weights are in place.
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.ModelCheckpoint(
                str(out / "best.keras"), monitor="val_iou", mode="max", save_best_only=True
            ),
            keras.callbacks.CSVLogger(str(log), append=bool(done)),
        ],
    )
    model.save(out / "final.keras", include_optimizer=False)


class SaveLast(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Save everything needed to resume, beside the old file and then over it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras before the averaged weights are swapped in."""
        beside = self._path.with_name("last.part.keras")
        self.model.save(beside)
        beside.replace(self._path)


def _cast(data: Path, split: str) -> Cast:
    return Cast(
        standing=load_ccp(data / "ccp", split),
        portraits=load_headshots(data / "headshots", split),
        rooms=load_backgrounds(data / "backgrounds"),
    )


def _contact_sheet(cast: Cast, size: int, seed: int, path: Path) -> None:
    tiles = []
    for i in range(40):
        rgb, alpha = compose(cast, size, np.random.default_rng([seed, 0, i]))
        tiles.append(np.hstack([rgb[:, :, ::-1], cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)]))
    rows = [np.hstack(tiles[i : i + 5]) for i in range(0, len(tiles), 5)]
    cv2.imwrite(str(path), np.vstack(rows))


def _epochs_done(log: Path) -> int:
    if not log.exists():
        return 0
    with log.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="ccp/, headshots/, backgrounds/")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumed if it exists")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--samples", type=int, default=2560, help="samples an epoch")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="threads that compose samples")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

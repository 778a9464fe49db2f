"""Train the slim U-Net on composites of people in rooms; `python -m seg_stream.training.train -h`.

Writes to the run folder: `log.csv` (one line an epoch), `sheet.png` (what the network sees),
`settings.json`, `last.keras` (with the optimiser's state: the same command resumes from it) and, at
the end, `final.keras` with the averaged weights, ready for `seg-export`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.training.composites import Cast, compose
from seg_stream.training.dataset import batches, sample_batch
from seg_stream.training.losses import iou, matte_loss
from seg_stream.training.networks.unet_lite import unet_lite
from seg_stream.training.pairs import load_backgrounds, load_ccp, load_headshots, streets

if TYPE_CHECKING:
    import keras

WARM_UP_EPOCHS = 1
RECALIBRATION_BATCHES = 60


def main() -> int:
    """Parse the command line, train, and return the exit code."""
    options = _parse()
    try:
        train(options)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def train(options: argparse.Namespace) -> None:
    """Run the training that `options` (see `_parse`) describe, or resume it.

    Raises:
        UserError: data are missing or unreadable.
    """
    import keras

    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    last, log = out / "last.keras", out / "log.csv"
    done = _epochs_done(log) if last.exists() else 0
    settings = {k: str(v) for k, v in vars(options).items()} | {"keras": keras.__version__}
    (out / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")

    print("reading the data", flush=True)
    people, held_out = (_cast(options.data, split) for split in ("train", "val"))
    _contact_sheet(people, options.size, options.seed, out / "sheet.png")
    common = {"size": options.size, "batch": options.batch, "workers": options.workers}

    if done:
        model = keras.models.load_model(
            last, custom_objects={"matte_loss": matte_loss, "iou": iou}, safe_mode=True
        )
        print(f"resuming after epoch {done}", flush=True)
    else:
        model = unet_lite((options.size, options.size, 3), options.width)
        if options.start_from:
            earlier = keras.models.load_model(options.start_from, compile=False)
            model.set_weights(earlier.get_weights())
        optimizer = keras.optimizers.AdamW(
            options.rate, weight_decay=1e-4, use_ema=True, ema_momentum=0.998, clipnorm=1.0
        )
        model.compile(optimizer, loss=matte_loss, metrics=[iou])

    if done < options.epochs:
        model.fit(
            batches(people, samples=options.samples, seed=options.seed, epoch=done, **common),
            validation_data=batches(
                held_out, samples=256, seed=options.seed + 1, vary=False, **common
            ),
            epochs=options.epochs,
            initial_epoch=done,
            shuffle=False,
            verbose=2,
            callbacks=[
                keras.callbacks.LearningRateScheduler(_cosine(options.rate, options.epochs)),
                keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: _save(model, last)),
                keras.callbacks.CSVLogger(str(log), append=bool(done)),
            ],
        )
    model.optimizer.finalize_variable_values(model.trainable_variables)  # the averaged weights
    _recalibrate(model, people, options)
    _save(model, out / "final.keras", include_optimizer=False)


def _cosine(peak: float, epochs: int) -> Any:
    def rate(epoch: int) -> float:
        if epoch < WARM_UP_EPOCHS:
            return 0.2 * peak
        progress = (epoch - WARM_UP_EPOCHS) / max(epochs - WARM_UP_EPOCHS, 1)
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    return rate


def _recalibrate(model: keras.Model, people: Cast, options: argparse.Namespace) -> None:
    """Measure the batch norms' means and variances again: the averaged weights have their own."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for i in range(RECALIBRATION_BATCHES):
        for norm in norms:
            norm.momentum = i / (i + 1)  # a plain mean over all batches
        pixels, _ = sample_batch(
            people, options.size, options.seed + 2, 0, i * options.batch, options.batch
        )
        model(pixels, training=True)


def _save(model: keras.Model, path: Path, include_optimizer: bool = True) -> None:
    """Save beside, then rename."""
    beside = path.with_name(f"{path.stem}.part.keras")
    model.save(beside, include_optimizer=include_optimizer)
    beside.replace(path)


def _cast(data: Path, split: str) -> Cast:
    standing = load_ccp(data / "ccp", split)
    rooms = load_backgrounds(data / "backgrounds")
    if views := streets(standing):
        rooms["street"] = views
    return Cast(standing, load_headshots(data / "headshots", split), rooms)


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
    parser.add_argument("--start-from", type=Path, help="final.keras of an earlier run")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=44)
    parser.add_argument("--samples", type=int, default=3200, help="samples an epoch")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="threads that compose samples")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())

"""One training run, from the data to the weights; started again, it goes on where it was.

Writes to its folder: `settings.json`, `samples.png` (what the network sees), `log.csv` (one line an
epoch), `curves.png`, `predictions.png`, `last.keras` (with the optimiser's state, to resume from),
`start.keras` (the weights of `--start-from`), `best.keras` (averaged weights of the best epoch)
and, at the end, `final.keras`: the best weights, or a share of the way to them, with their batch
norms measured again, ready for `seg-export`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.types import Image
from seg_stream.training.averaging import (
    average,
    build,
    keeps_generic,
    load_weights,
    refused,
    save,
)
from seg_stream.training.composites import Cast
from seg_stream.training.dataset import Composer, batches, composing
from seg_stream.training.losses import iou, matte_loss
from seg_stream.training.networks import ARCHITECTURES
from seg_stream.training.networks.efficientnet_lite import freeze_generic, load_imagenet
from seg_stream.training.pairs import (
    Portrait,
    load_backgrounds,
    load_folders,
    pair_folders,
    streets,
)
from seg_stream.training.records import draw_curves, draw_predictions, draw_samples
from seg_stream.training.run_folder import begin, open_folder, read_log
from seg_stream.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

WARM_UP_EPOCHS = 1


def train(
    settings: TrainSettings,
    out: Path,
    say: Callable[[str], None] = print,
    casts: Sequence[Cast] = (),
) -> Path:
    """Run the training, or resume it; returns the path of `final.keras`.

    `casts` are those of training and validation, for several runs on the same data; without them
    they are read. Only the first run of a process may compose in `processes`.

    Raises:
        UserError: data or weights are missing or malformed, or `out` holds another run.
        SegStreamError: the loss is no number, or a process that composes ended by itself.
    """
    _require_keras()
    import keras

    done = open_folder(settings, out)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(
        "float32" if settings.precision == "float32" else f"mixed_{settings.precision}"
    )
    if not casts:
        say("Reading the data.")
        casts = read_casts(settings, ("train", "val"), say)
    begin(settings, out, done)
    people = casts[0]
    if done < settings.epochs and not _out_of_patience(out / "log.csv", settings.patience):
        with composing(casts, settings.processes) as composer:
            _fit(settings, out, done, people, composer, say)
    shares = {out / "best.keras": settings.share}
    if settings.share < 1:
        shares[out / "start.keras"] = 1 - settings.share
    save(average(shares, people, settings), out / "final.keras")
    return out / "final.keras"


def _fit(
    settings: TrainSettings,
    out: Path,
    done: int,
    people: Cast,
    composer: Composer,
    say: Callable[[str], None],
) -> None:
    """Train for the epochs that are not done."""
    import keras

    draw_samples(people, settings, out / "samples.png")
    feed = partial(
        batches,
        composer,
        size=settings.size,
        batch=settings.batch,
        workers=settings.processes + 1 if settings.processes else settings.workers,
        input_range=ARCHITECTURES[settings.arch].input_range,
    )
    unchanging = feed(1, samples=settings.validation, seed=settings.seed + 1, vary=False)
    last, log = out / "last.keras", out / "log.csv"
    if done:
        say(f"Resuming after epoch {done}.")
        model = _load_last(last)
    else:
        model = _new_model(settings)
        if settings.start_from:  # kept: until the end the file may be another
            save(model, out / "start.keras")
    model.fit(
        feed(0, samples=settings.samples, seed=settings.seed, epoch=done),
        validation_data=unchanging,
        epochs=settings.epochs,
        initial_epoch=done,
        shuffle=False,
        verbose=1 if sys.stdout and sys.stdout.isatty() else 2,
        callbacks=[
            keras.callbacks.LearningRateScheduler(_cosine(settings.rate, settings.epochs)),
            keras.callbacks.LambdaCallback(on_epoch_end=_require_finite),
            # Before the averages are swapped in: training goes on from the plain weights.
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: save(model, last)),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda _, logs: _keep_best(model, logs["val_loss"], out)
            ),
            # A line in the log says that all of the epoch's weights are saved.
            keras.callbacks.CSVLogger(str(log), append=bool(done)),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda *_: _after_epoch(model, unchanging, settings, out)
            ),
        ],
    )


def read_casts(
    settings: TrainSettings, splits: Sequence[str], say: Callable[[str], None] = print
) -> list[Cast]:
    """Read the people and the rooms of each split.

    Raises:
        UserError: see `load_folders` and `load_backgrounds`; or a weight names no folder.
    """
    folders = pair_folders(settings.data)
    if unknown := set(settings.weights) - set(folders):
        raise UserError(
            f"--weight names {', '.join(sorted(unknown))}, but the folders of pairs are "
            f"{', '.join(folders)}; name one of them."
        )
    rooms = settings.backgrounds or settings.data / "backgrounds"
    weights = {name: settings.weights.get(name, 1.0) for name in folders}
    casts = []
    for split in splits:
        people = {}
        for name, read in load_folders(settings.data, split, settings.suspects).items():
            people[name] = read.portraits
            for reason in read.skipped:
                say(f"Skipped: {reason}.")
        casts.append(Cast(people, weights, load_backgrounds(rooms, split) | _street(people)))
    return casts


def _street(people: dict[str, list[Portrait]]) -> dict[str, list[Image]]:
    """What stands beside the people, as one more kind of room."""
    views = [view for portraits in people.values() for view in streets(portraits)]
    return {"street": views} if views else {}


def _load_last(last: Path) -> keras.Model:
    """The model with its optimiser, as it was after the last epoch."""
    import keras

    with refused(last, "loaded", "go on from best.keras with --start-from, in another --out"):
        model = keras.models.load_model(last, custom_objects=_custom(), safe_mode=True)
    if not _jit():  # as it is now, not as it was where the run began
        model.jit_compile = False
    return model


def _new_model(settings: TrainSettings) -> keras.Model:
    import keras

    model = build(settings)
    if settings.start_from:
        load_weights(model, settings.start_from, "started from")
    elif settings.imagenet:
        arrays = _read_published(settings.imagenet)
        try:
            load_imagenet(model, arrays)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{settings.imagenet} holds the weights of another network ({error}); give those "
                f"of {ARCHITECTURES[settings.arch].body}."
            ) from None
    if keeps_generic(settings):
        freeze_generic(model)
    steps = settings.epochs * (settings.samples // settings.batch)
    optimizer = keras.optimizers.AdamW(
        settings.rate,
        weight_decay=1e-4,
        clipnorm=1.0,
        use_ema=True,
        ema_momentum=1 - 1 / min(500, max(5, steps / 20)),
    )
    model.compile(optimizer, loss=matte_loss, metrics=[iou], jit_compile=_jit())
    return model


def _jit() -> bool | str:
    """Whether Keras compiles the step with XLA, which on a CPU makes TensorFlow 8 times slower."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.config.list_physical_devices("GPU") else False


def _after_epoch(
    model: keras.Model, unchanging: keras.utils.PyDataset, settings: TrainSettings, out: Path
) -> None:
    """Show where the run stands; stop it if it no longer gets better."""
    draw_curves(read_log(out / "log.csv"), out / "curves.png")
    draw_predictions(model, unchanging[0], out / "predictions.png")
    if _out_of_patience(out / "log.csv", settings.patience):
        model.stop_training = True


def _require_finite(epoch: int, logs: dict[str, float]) -> None:
    if not all(math.isfinite(value) for value in logs.values()):
        raise SegStreamError(
            f"The loss of epoch {epoch + 1} is not a number; the epochs before it are kept: try a "
            "lower --rate, or --precision float32, in another --out."
        )


def _keep_best(model: keras.Model, loss: float, out: Path) -> None:
    """Save the averaged weights if they are the best yet."""
    if all(loss < row["val_loss"] for row in read_log(out / "log.csv")):
        save(model, out / "best.keras")


def _out_of_patience(log: Path, patience: int) -> bool:
    losses = [row["val_loss"] for row in read_log(log)]
    return bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= patience


def _cosine(peak: float, epochs: int) -> Callable[[int], float]:
    def rate(epoch: int) -> float:
        if epoch < WARM_UP_EPOCHS:
            return 0.2 * peak
        progress = (epoch - WARM_UP_EPOCHS) / max(epochs - WARM_UP_EPOCHS, 1)
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    return rate


def _read_published(path: Path) -> Any:
    """Read a PyTorch file of plain arrays; code in it is not run."""
    try:
        import torch
    except ImportError:
        raise UserError(
            f"Reading {path} needs PyTorch, which is not installed: run pip install torch."
        ) from None
    try:
        arrays = torch.load(path, map_location="cpu", weights_only=True)
        return {name: array.numpy() for name, array in arrays.items()}
    except (OSError, RuntimeError, ValueError, AttributeError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} cannot be read as published weights ({reason}).") from None


def _custom() -> dict[str, Any]:
    return {"matte_loss": matte_loss, "iou": iou}


def _require_keras() -> None:
    try:
        import keras  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError(
            "Training needs Keras, TensorFlow and matplotlib, which are not installed: "
            "run pip install 'seg-stream[train]'."
        ) from None

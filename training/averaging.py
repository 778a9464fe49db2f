"""Average the weights of several runs: what one of them forgot, another still knows.

M. Wortsman et al., "Model soups", 2022. By hand, for weights that began as the same ones:
`python -m seg_stream.training.averaging OUT.keras A.keras=0.4 B.keras=0.6 --like RUN`, where the
settings of the run's folder tell the data, the architecture and, if no other is given, the size.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from seg_stream.export.command import parse_size
from seg_stream.pipeline.errors import SegStreamError, UserError, exit_code, unusable
from seg_stream.pipeline.sinks.part_file import PartFile, check_target
from seg_stream.training.composites import Cast
from seg_stream.training.dataset import sample_batch
from seg_stream.training.networks import ARCHITECTURES
from seg_stream.training.networks.efficientnet_lite import freeze_generic
from seg_stream.training.settings import TrainSettings, checked_settings, named_number

if TYPE_CHECKING:
    import keras

RECALIBRATION_BATCHES = 60


def build(settings: TrainSettings) -> keras.Model:
    """The network that the settings describe, with new weights."""
    arch = ARCHITECTURES[settings.arch]
    width, height = settings.size
    return arch.build((height, width, 3), settings.width or arch.width)


def keeps_generic(settings: TrainSettings) -> bool:
    """Whether the body's generic layers are kept as they are."""
    return settings.tunes_imagenet and not settings.all_layers


def load_weights(model: keras.Model, path: Path, use: str) -> None:
    """Put the weights of a .keras file into a network.

    Raises:
        UserError: the file cannot be read or is of another network; it says "cannot be" `use`.
    """
    import keras

    with refused(path, use, "give a .keras file of the same architecture and width"):
        earlier = keras.models.load_model(path, compile=False, safe_mode=True)
        model.set_weights(earlier.get_weights())


@contextmanager
def refused(path: Path, use: str, advice: str) -> Iterator[None]:
    """Make one sentence of what goes wrong with a .keras file.

    Raises:
        UserError: it "cannot be" `use`, why, and `advice`.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path} is no file and cannot be {use}; {advice}.")
    try:
        yield
    except Exception as error:  # Keras raises almost anything on a file that is no model
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} cannot be {use} ({reason}); {advice}.") from None


def average(shares: Mapping[Path, float], people: Cast, settings: TrainSettings) -> keras.Model:
    """Mix weights, in a float32 model without an optimiser, and measure its batch norms again.

    Args:
        shares: the .keras files and how much each counts; they add up to 1.
        people: to measure the norms on.
        settings: of the run; they name the architecture and the size.

    Raises:
        UserError: the shares do not add up to 1, or a file cannot be read or is another network's.
    """
    import keras

    _require_one(shares)
    keras.config.set_dtype_policy("float32")
    model = build(settings)
    mixed = [0.0] * len(model.get_weights())
    for path, share in shares.items():
        load_weights(model, path, "averaged")
        found = model.get_weights()
        mixed = [total + share * each for total, each in zip(mixed, found, strict=True)]
    model.set_weights(mixed)
    _recalibrate(model, people, settings)
    return model


def _require_one(shares: Mapping[Path, float]) -> None:
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UserError(f"The shares add up to {sum(shares.values()):g}; make that 1.")


def _shares(texts: Sequence[str]) -> dict[Path, float]:
    shares: dict[Path, float] = {}
    for text in texts:
        refusal = f"{text} is not WEIGHTS.keras=SHARE; write it as a.keras=0.5."
        name, share = named_number(text, refusal)
        if Path(name) in shares:
            raise UserError(f"{name} is named twice; give each file one share.")
        shares[Path(name)] = share
    return shares


def _recalibrate(model: keras.Model, people: Cast, settings: TrainSettings) -> None:
    """Measure the batch norms' means and variances again: averaged weights have their own."""
    import keras

    if keeps_generic(settings):
        freeze_generic(model)  # those norms were not trained, in a run like `settings`
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    input_range = ARCHITECTURES[settings.arch].input_range
    seen = settings.epochs * (settings.samples // settings.batch)
    for i in range(min(RECALIBRATION_BATCHES, seen) if norms else 0):
        for norm in norms:
            norm.momentum = i / (i + 1)  # a plain mean over all batches
        first = i * settings.batch
        pixels, _ = sample_batch(
            people, settings.size, settings.seed + 2, 0, first, settings.batch, input_range
        )
        model(pixels, training=True)


def save(model: keras.Model, path: Path) -> None:
    """Save in a run's folder: beside, then rename; what an ended run left there is used again.

    Raises:
        UserError: it cannot be written.
        SegStreamError: the disk is full, or fails.
    """
    beside = path.with_name(f"{path.stem}.part.keras")
    with written(path):
        try:
            model.save(beside)
            beside.replace(path)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def check_new(path: Path) -> None:
    """Check that Keras weights can be saved where a user says, before there are any.

    Raises:
        UserError: they cannot, or something is there already.
    """
    if path.suffix != ".keras":
        raise UserError(f"{path} is no name for Keras weights; let it end in .keras.")
    if os.path.lexists(path):
        raise UserError(f"{path} exists already; choose another name.")
    check_target(path, overwrite=False)


def save_new(model: keras.Model, path: Path) -> None:
    """Save where a user says, whole or not at all, and touch no other file.

    Raises:
        UserError: it cannot be written, or something has come under that name.
        SegStreamError: the disk is full, or fails.
    """
    part = PartFile(path, overwrite=False)
    try:
        with written(path):
            model.save(part.path)
            part.commit()
    finally:
        part.discard()


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Make one sentence of what stops a file.

    Raises:
        UserError: it cannot be written.
        SegStreamError: the disk is full, or fails.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        kind = UserError if exit_code(error) == 2 else SegStreamError
        raise kind(f"{path} cannot be written ({reason}); choose another place.") from None


def by_hand(name: str, work: Callable[[], None]) -> int:
    """Do the work of a command, say in one sentence what stops it, and return its exit code."""
    try:
        work()
    except SegStreamError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except OSError as error:
        print(f"{name}: {unusable(error)}; check it.", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was written.", file=sys.stderr)
        return 130
    return 0


def main() -> int:
    """Write the average; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("shares", nargs="+", metavar="WEIGHTS.keras=SHARE")
    parser.add_argument("--like", type=Path, required=True, help="a run's folder")
    parser.add_argument("--size", help="WIDTHxHEIGHT of the new network's input")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return by_hand("averaging", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    # It imports this module too, for `average`.
    from seg_stream.training.run import read_casts
    from seg_stream.training.run_folder import read_settings

    check_new(options.out)
    shares = _shares(options.shares)
    _require_one(shares)
    settings = read_settings(options.like / "settings.json")
    if options.size:
        high, wide = parse_size(options.size)
        settings = checked_settings(**{**settings.model_dump(), "size": (wide, high)})
    (people,) = read_casts(settings, ("train",), print)
    save_new(average(shares, people, settings), options.out)


if __name__ == "__main__":
    sys.exit(main())

"""The folder of a training run: whether it holds one, how far it is, and with which settings."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from pathlib import Path

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.part_file import write_whole
from seg_stream.training.settings import TrainSettings, option

WRITTEN = (
    "log.csv",
    "best.keras",
    "final.keras",
    "last.keras",
    "start.keras",
    "settings.json",
    "samples.png",
    "curves.png",
    "predictions.png",
)
"""The files of a run."""

COLUMNS = ("epoch", "loss", "iou", "val_loss", "val_iou", "learning_rate")
"""What its log has of each epoch."""


def open_folder(settings: TrainSettings, out: Path) -> int:
    """Make the run's folder, or find out how many epochs are done in it.

    Raises:
        UserError: it cannot be made, holds a run with other settings, or files of another kind.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        done = len(read_log(out / "log.csv")) if (out / "last.keras").exists() else 0
        if done:
            earlier = read_settings(out / "settings.json")
            if changed := _difference(earlier, settings):
                raise UserError(
                    f"{out} holds a run with other settings ({changed}); give them again to "
                    "resume it, or another --out."
                )
        else:
            _require_free(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); change --out.") from None
    return done


def begin(settings: TrainSettings, out: Path, done: int) -> None:
    """Write down what the run is, once its folder and its data are known to be right.

    Raises:
        UserError: the folder cannot be written.
    """
    import keras

    try:
        if not done:  # what an interrupted first epoch has left
            (out / "log.csv").unlink(missing_ok=True)
        text = {
            "settings": settings.model_dump(mode="json"),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        }
        write_whole(out / "settings.json", (json.dumps(text, indent=2) + "\n").encode())
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); change --out.") from None


def read_log(log: Path) -> list[dict[str, float]]:
    """The epochs of a run so far, by column; empty before the first.

    Raises:
        UserError: it is no such file.
    """
    if not log.exists():
        return []
    try:
        with log.open(newline="", encoding="utf-8") as file:
            return [{name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{log} is not what seg-train writes ({error!r}); mend it, or give another --out."
        ) from None


def read_settings(path: Path) -> TrainSettings:
    """The settings of a run, from its folder's `settings.json`.

    Raises:
        UserError: there is no such file, or another program wrote it.
    """
    try:
        return TrainSettings.model_validate(json.loads(path.read_text())["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is not what seg-train writes, so there is no run to go on from; name another "
            "folder."
        ) from None


def _require_free(out: Path) -> None:
    """Refuse a folder with files of the same names, but for a run interrupted in its first epoch.

    Raises:
        UserError: something else would be replaced.
    """
    found = [name for name in WRITTEN if (out / name).exists()]
    if not found:
        return
    with suppress(UserError):
        read_settings(out / "settings.json")
        log = out / "log.csv"  # is there, and empty, before the best weights are
        begun = log.exists() or "best.keras" not in found
        if begun and "final.keras" not in found and not read_log(log):
            return
    raise UserError(f"{out} holds {found[0]} but no run to resume; choose another --out.")


def _difference(earlier: TrainSettings, now: TrainSettings) -> str:
    before, after = earlier.resumed_by, now.resumed_by
    return ", ".join(f"{option(key)} {before[key]}" for key in before if before[key] != after[key])

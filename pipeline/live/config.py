"""A settings file (TOML) that is read again whenever it changes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from threading import Event, Thread

from seg_stream.pipeline.backgrounds import BLUR
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.settings import LiveSettings, check_background, settings_of

INTERVAL_S = 0.2
"""How often the file is looked at; a change counts once it has stood for this long."""

LARGEST = 65536
"""Bytes; nobody writes a longer settings file by hand."""

Stamp = tuple[int, int, int]


def read_config(path: Path) -> dict[str, object]:
    """The settings that a file names, each of them checked.

    The name of a background is taken from the file's own folder, and `~` is the home folder.

    Raises:
        UserError: it cannot be read, is no TOML, or has a key or a value that is not allowed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(
            f"The settings file {path} cannot be read ({error.strerror}); check its name."
        ) from None
    if len(data) > LARGEST:
        raise UserError(f"The settings file {path} is over {LARGEST} bytes; is it another file?")
    try:
        values: dict[str, object] = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The settings file {path} is not TOML: {error}.") from None
    try:
        background = settings_of(values).background
        if "background" in values and background != BLUR and not background.startswith("#"):
            values["background"] = str(path.absolute().parent / _at_home(background))
        check_background(str(values.get("background", BLUR)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return values


class ConfigWatcher(Closable):
    """Puts what changes in a settings file into the controls; a broken edit is only a warning.

    Only the keys that an edit changed are applied, so that it does not undo what was set elsewhere
    meanwhile. A key that is taken out goes back to what it was without the file.

    Args:
        path: the file.
        values: what `read_config` gave of it at the start.
        without: the settings as they would be without the file.
        controls: where changes and warnings go.
    """

    def __init__(
        self, path: Path, values: dict[str, object], without: LiveSettings, controls: Controls
    ) -> None:
        self._path, self._values, self._without = path, values, dict(without)
        self._controls = controls
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="config")
        self._seen = self._stamp()
        self._thread.start()

    def _stamp(self) -> Stamp | None:
        """What changes when the file does; None while there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _watch(self) -> None:
        before = self._seen
        while not self._stop.wait(INTERVAL_S):
            now = self._stamp()
            # An editor may write in several steps: wait until it is done.
            if now == before and now != self._seen:
                self._seen = now
                self._reload()
            before = now

    def _reload(self) -> None:
        try:
            values = read_config(self._path)
            names = self._values.keys() | values.keys()
            changed = {
                name: values.get(name, self._without[name])
                for name in sorted(names)
                if values.get(name) != self._values.get(name)
            }
            self._controls.change(**changed)
        except UserError as error:
            self._controls.say(f"Warning: {error} The settings stay as they are.")
            return
        self._values = values
        if changed:
            self._controls.say(f"{self._path.name}: {', '.join(changed)} changed.")

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()


def _at_home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user
        return Path(text)

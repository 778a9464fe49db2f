"""The one place where settings change while a camera runs; any thread may read and change them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from seg_stream.pipeline.backgrounds import BLUR
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.settings import (
    PROPERTIES,
    LiveSettings,
    check_background,
    settings_of,
)


@dataclass(frozen=True)
class Notice:
    """The last thing to tell the user; `number` grows with each."""

    number: int = 0
    text: str = ""


class Controls:
    """Holds the settings in force. Reading them costs nothing and never waits.

    Args:
        settings: those to start with.
        playlist: backgrounds to choose from, beside the one to start with and the blurred room.
        echo: also gets every notice, in the thread that it comes from.

    Raises:
        UserError: the background to start with is a file that is not there.
    """

    def __init__(
        self,
        settings: LiveSettings | None = None,
        playlist: Playlist | None = None,
        echo: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._current = settings or LiveSettings()
        check_background(self._current.background)
        self._first, self._playlist, self._echo = self._current.background, playlist, echo
        self._lock = Lock()
        self._listeners: list[Callable[[], None]] = []
        self._notice = Notice()
        self._snapshot = False

    @property
    def current(self) -> LiveSettings:
        """The settings for the next frame; take them once for each frame."""
        return self._current

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """What there is to choose from, each as `LiveSettings.background` takes it."""
        listed = self._playlist.entries if self._playlist else ()
        return tuple(dict.fromkeys((self._first, *listed, BLUR)))

    def rescan(self) -> None:
        """Look again at what the folder of backgrounds holds; one that is gone stays as it was."""
        if self._playlist:
            with suppress(UserError):
                self._playlist.rescan()

    @property
    def notice(self) -> Notice:
        """What was said last."""
        return self._notice

    def change(self, **fields: object) -> LiveSettings:
        """Change some settings at once, all of them or none; return those now in force.

        Raises:
            UserError: a name is not known, a value not allowed, or the background not there.
        """
        if isinstance(background := fields.get("background"), str):
            settings_of({"background": background})
            check_background(background)  # asks the disk, so outside the lock
        with self._lock:
            changed = settings_of({**dict(self._current), **fields})
            same = changed == self._current
            self._current = changed
        if not same:
            self._tell()
        return changed

    def toggle(self, name: str) -> LiveSettings:
        """Turn a switch the other way."""
        with self._lock:
            now = getattr(self._current, name)
            self._current = changed = settings_of({**dict(self._current), name: not now})
        self._tell()
        return changed

    def step(self, name: str, by: float) -> LiveSettings:
        """Move a number by an amount, as far as it may go."""
        limits = PROPERTIES[name]
        with self._lock:
            value = round(getattr(self._current, name) + by, 6)
            value = float(min(max(value, limits["minimum"]), limits["maximum"]))
            self._current = changed = settings_of({**dict(self._current), name: value})
        self._tell()
        return changed

    def next_background(self, step: int = 1) -> LiveSettings:
        """Go on by so many in `backgrounds`, around its end; one that is gone is passed over.

        Raises:
            UserError: none of them is there.
        """
        listed = self.backgrounds
        now = self._current.background
        at = listed.index(now) if now in listed else -1 if step > 0 else 0
        for away in range(1, len(listed)):
            try:
                return self.change(background=listed[(at + step * away) % len(listed)])
            except UserError:
                continue
        return self._current

    def request_snapshot(self) -> None:
        """Ask for a picture of the next frame that is put out."""
        self._snapshot = True

    def take_snapshot_request(self) -> bool:
        """Whether a snapshot was asked for since the last call."""
        with self._lock:
            wanted, self._snapshot = self._snapshot, False
        return wanted

    def say(self, text: str) -> None:
        """Tell the user something, wherever they watch."""
        with self._lock:
            self._notice = Notice(self._notice.number + 1, text)
        self._echo(text)
        self._tell()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each change and each notice, in the thread that made it.

        It must return at once, and looks at `current` and `notice` by itself. Returns what ends it.
        """
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

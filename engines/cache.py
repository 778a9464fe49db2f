"""Keeps built engines for the next start, in the user's cache folder.

An engine is code, so only what this program wrote for this user is loaded: each file carries a
message authentication code (HMAC-SHA-256, RFC 2104) made with a key that only the user can read,
over the engine and over all that it was built for. A file that is damaged, cut short, changed, or
made elsewhere or for something else is built again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

from seg_stream.engines.tensorrt_build import BuildStopped, Built
from seg_stream.pipeline.errors import Stopped

MAGIC = b"seg-stream engine 1\n"
MOST = 32
"""Files that are kept; those used longest ago go."""

_DIGEST = hashlib.sha256().digest_size
_POLL_S = 0.2


@dataclass(frozen=True)
class EngineKey:
    """Everything that an engine depends on: another value of any of these is another engine."""

    onnx_sha256: str
    library: str
    library_version: str
    cuda_version: int
    driver_version: str
    gpu: str
    compute_capability: tuple[int, int]
    shapes: Mapping[str, tuple[int, ...]]
    options: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The key as JSON, always the same for the same values."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """SHA-256 of the key, in hexadecimal."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def timing(self) -> str:
        """What timings of kernels depend on: the key without the model."""
        values = asdict(self)
        del values["onnx_sha256"], values["shapes"]
        return json.dumps({"timing": values}, sort_keys=True)


def cache_folder() -> Path:
    """The user's folder for engines; `SEG_STREAM_CACHE` names another one."""
    if given := os.environ.get("SEG_STREAM_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "seg-stream" / "engines"


class EngineCache:
    """Engines of one user; several processes may use it at once.

    Args:
        folder: where they are kept; the user's cache folder by default.
        warn: told, in one sentence, when the folder cannot be used; building goes on without it.
    """

    def __init__(
        self, folder: Path | None = None, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder = folder or cache_folder()
        self._warn = warn

    def has(self, key: EngineKey) -> bool:
        """Whether there is a whole engine for this key."""
        return self._read(key.digest, key.text()) is not None

    def get(
        self, key: EngineKey, build: Callable[[bytes], Built], stop: Event | None = None
    ) -> bytes:
        """Return the engine for a key, built if there is none.

        Who asks while another process builds the same one waits for it.

        Args:
            key: what it is for.
            build: makes it from the timings of earlier builds, which can be empty.
            stop: set it to end a wait.

        Raises:
            Stopped: `stop` was set while waiting; and whatever `build` raises.
        """
        if (plan := self._read(key.digest, key.text())) is not None:
            return plan
        timing_name = hashlib.sha256(key.timing.encode()).hexdigest()
        with self._lock(key.digest, stop):
            if (plan := self._read(key.digest, key.text())) is not None:
                return plan
            try:
                built = build(self._read(timing_name, key.timing) or b"")
            except BuildStopped as stopped:
                if stopped.timing:  # the next build need not measure that again
                    self._write(timing_name, key.timing, stopped.timing)
                raise
            self._write(key.digest, key.text(), built.plan)
            if built.timing:
                self._write(timing_name, key.timing, built.timing)
            return built.plan

    def forget(self, key: EngineKey) -> None:
        """Remove the engine for a key."""
        with suppress(OSError):
            self._path(key.digest).unlink()

    def compiled(self, key: EngineKey) -> bytes:
        """What TensorRT-RTX compiled from a key's engine on this GPU; empty if it is not known."""
        name, about = _compiled_name(key)
        return self._read(name, about) or b""

    def keep_compiled(self, key: EngineKey, compiled: bytes) -> None:
        """Keep what `compiled` returns."""
        name, about = _compiled_name(key)
        self._write(name, about, compiled)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.engine"

    def _read(self, name: str, about: str) -> bytes | None:
        """What was kept under a name, if it is whole, ours, and about the same."""
        path = self._path(name)
        try:
            secret = self._secret(make=False)
            content = path.read_bytes()
        except OSError:
            return None
        start = len(MAGIC) + _DIGEST
        if secret is None or not content.startswith(MAGIC) or len(content) < start + 4:
            return None
        body = content[start:]
        if not hmac.compare_digest(_code(secret, body), content[len(MAGIC) : start]):
            return None
        (length,) = struct.unpack_from("<I", body)
        if body[4 : 4 + length] != about.encode():
            return None
        with suppress(OSError):
            os.utime(path)
        return body[4 + length :]

    def _write(self, name: str, about: str, payload: bytes) -> None:
        path = self._path(name)
        part = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}.part")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            secret = self._secret(make=True)
            if secret is None:
                self._warn(
                    f"Engines are not kept, since others can change {self.folder}; make it yours "
                    "alone (chmod -R go-w), or name another folder in SEG_STREAM_CACHE."
                )
                return
            text = about.encode()
            body = struct.pack("<I", len(text)) + text + payload
            part.write_bytes(MAGIC + _code(secret, body) + body)
            part.replace(path)
            self._prune()
        except OSError as error:
            self._warn(
                f"The engine cannot be kept in {self.folder} ({error.strerror}), so the next start "
                "builds it again; name another folder in SEG_STREAM_CACHE."
            )
        finally:
            with suppress(OSError):
                part.unlink()

    def _prune(self) -> None:
        files = sorted(
            self.folder.glob("*.engine"), key=lambda path: path.stat().st_mtime, reverse=True
        )
        for path in files[MOST:]:
            path.unlink(missing_ok=True)

    def _secret(self, *, make: bool) -> bytes | None:
        """The user's key, 32 bytes; None where there is none that only the user can have made."""
        path = self.folder / "key"
        if make and not path.exists():
            part = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}.part")
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_DIGEST))
            with suppress(OSError):  # another process was first, or the system has no hard links
                os.link(part, path)
            if not path.exists():
                part.replace(path)
            part.unlink(missing_ok=True)
        if not (_only_mine(self.folder) and _only_mine(path, secret=True)):
            return None
        secret = path.read_bytes()
        if len(secret) != _DIGEST:
            if not make:
                return None
            path.unlink()
            return self._secret(make=True)
        return secret

    @contextmanager
    def _lock(self, name: str, stop: Event | None) -> Iterator[None]:
        """One builder at a time for a key; none is waited for where no lock can be made."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / f"{name}.lock")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                try:
                    lock.acquire(timeout=_POLL_S)
                    break
                except Timeout:
                    if stop and stop.is_set():
                        raise Stopped(
                            "The wait for another program's engine was stopped."
                        ) from None
        except OSError:
            yield
            return
        try:
            yield
        finally:
            lock.release()


def _compiled_name(key: EngineKey) -> tuple[str, str]:
    about = f"compiled {key.text()}"
    return hashlib.sha256(about.encode()).hexdigest(), about


def _code(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256")


def _only_mine(path: Path, *, secret: bool = False) -> bool:
    """Whether nobody else can have written a file or folder or, if it is secret, read it."""
    try:
        status = path.lstat() if secret else path.stat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return True  # Windows gives a user's own folders to nobody else
    kind = stat.S_ISREG(status.st_mode) if secret else stat.S_ISDIR(status.st_mode)
    others = 0o077 if secret else 0o022
    return kind and status.st_uid == os.getuid() and not status.st_mode & others

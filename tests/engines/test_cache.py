"""The engine cache: what it keeps apart, what it refuses, who may use it at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seg_stream.engines import cache as cache_module
from seg_stream.engines.cache import EngineCache, EngineKey, cache_folder
from seg_stream.engines.tensorrt_build import BuildStopped, Built
from seg_stream.pipeline.errors import SegStreamError, Stopped

KEY = EngineKey(
    onnx_sha256="ab" * 32,
    library="tensorrt",
    library_version="11.0.1",
    cuda_version=13000,
    driver_version="580.65",
    gpu="NVIDIA GeForce RTX 4090",
    compute_capability=(8, 9),
    shapes={"input": (1, 3, 160, 256), "alpha": (1, 1, 160, 256)},
    options={"typing": "strong"},
)
CHANGES = {
    "onnx_sha256": "cd" * 32,
    "library": "tensorrt-rtx",
    "library_version": "11.0.2",
    "cuda_version": 13010,
    "driver_version": "581.0",
    "gpu": "NVIDIA GeForce RTX 4080",
    "compute_capability": (9, 0),
    "shapes": {"input": (1, 3, 160, 258), "alpha": (1, 1, 160, 256)},
    "options": {"typing": "weak"},
}

needs_modes = pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes are of POSIX")
no_root = pytest.mark.skipif(
    getattr(os, "getuid", lambda: 1)() == 0, reason="root may write everywhere"
)


class Builder:
    """Counts builds; each gives another engine."""

    def __init__(self, timing: bytes = b"") -> None:
        self.count = 0
        self.known: list[bytes] = []
        self._timing = timing

    def __call__(self, known: bytes) -> Built:
        self.count += 1
        self.known.append(known)
        return Built(b"engine %d" % self.count, self._timing)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engines"


def engine_file(folder: Path) -> Path:
    (path,) = folder.glob("*.engine")
    return path


def test_an_engine_is_built_once(folder: Path) -> None:
    build, warnings = Builder(), list[str]()
    assert not EngineCache(folder, warnings.append).has(KEY)
    assert EngineCache(folder, warnings.append).get(KEY, build) == b"engine 1"
    assert EngineCache(folder, warnings.append).get(KEY, build) == b"engine 1"
    assert EngineCache(folder).has(KEY)
    assert (build.count, warnings) == (1, [])
    assert not list(folder.glob("*.part"))


def test_every_part_of_the_key_makes_another_engine(folder: Path) -> None:
    assert set(CHANGES) == set(EngineKey.__dataclass_fields__)
    build, cache = Builder(), EngineCache(folder)
    cache.get(KEY, build)
    for count, (name, value) in enumerate(CHANGES.items(), start=2):
        other = replace(KEY, **{name: value})
        assert other.digest != KEY.digest
        assert cache.get(other, build) == b"engine %d" % count, name
    assert cache.get(KEY, build) == b"engine 1"
    same = replace(KEY, shapes=dict(reversed(list(KEY.shapes.items()))))
    assert same.digest == KEY.digest


def test_timings_are_handed_to_the_next_build_on_the_same_gpu(folder: Path) -> None:
    build, cache = Builder(timing=b"what was measured"), EngineCache(folder)
    cache.get(KEY, build)
    cache.get(replace(KEY, onnx_sha256="ef" * 32), build)
    cache.get(replace(KEY, gpu="another"), build)
    assert build.known == [b"", b"what was measured", b""]


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(position: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[position] ^= 1
        return bytes(changed)

    return change


@pytest.mark.parametrize(
    "harm",
    [
        lambda _: b"",
        lambda _: b"\x00" * 4096,
        lambda content: content[:25],
        lambda content: content[:54],
        _cut,
        lambda content: content + b"more",
        _flip(-1),
        _flip(3),
        _flip(30),
        _flip(55),
        _flip(80),
    ],
    ids=[
        "empty", "zeros", "cut in the head", "cut before the key", "cut", "longer",
        "another engine", "another format", "another code", "another length", "another key",
    ],
)  # fmt: skip
def test_a_harmed_engine_is_built_again_and_mended(
    folder: Path, harm: Callable[[bytes], bytes]
) -> None:
    build, cache = Builder(), EngineCache(folder)
    cache.get(KEY, build)
    path = engine_file(folder)
    path.write_bytes(harm(path.read_bytes()))
    assert not cache.has(KEY)
    assert cache.get(KEY, build) == b"engine 2"
    assert cache.get(KEY, build) == b"engine 2"


def test_an_engine_under_another_name_is_not_taken(folder: Path) -> None:
    build, cache, other = Builder(), EngineCache(folder), replace(KEY, gpu="another")
    cache.get(KEY, build)
    path = engine_file(folder)
    path.rename(path.with_name(f"{other.digest}.engine"))
    assert cache.get(other, build) == b"engine 2"


def test_an_engine_of_another_user_is_not_taken(tmp_path: Path) -> None:
    """Whoever cannot read the key cannot make a file that passes."""
    theirs, mine, build = tmp_path / "theirs", tmp_path / "mine", Builder()
    EngineCache(theirs).get(KEY, build)
    EngineCache(mine).get(replace(KEY, gpu="another"), build)
    path = engine_file(theirs)
    (mine / path.name).write_bytes(path.read_bytes())
    assert EngineCache(mine).get(KEY, build) == b"engine 3"


def test_a_lost_or_damaged_key_costs_a_build_and_no_more(folder: Path) -> None:
    build, cache = Builder(), EngineCache(folder)
    cache.get(KEY, build)
    (folder / "key").write_bytes(b"short")
    assert cache.get(KEY, build) == b"engine 2"
    assert cache.get(KEY, build) == b"engine 2"
    (folder / "key").unlink()
    assert cache.get(KEY, build) == b"engine 3"
    assert cache.get(KEY, build) == b"engine 3"


@needs_modes
def test_only_the_user_can_read_the_key(folder: Path) -> None:
    EngineCache(folder).get(KEY, Builder())
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@needs_modes
@pytest.mark.parametrize(("what", "mode"), [("", 0o777), ("", 0o770), ("key", 0o644)])
def test_what_others_could_have_made_is_not_loaded(folder: Path, what: str, mode: int) -> None:
    build, warnings = Builder(), list[str]()
    cache = EngineCache(folder, warnings.append)
    cache.get(KEY, build)
    (folder / what).chmod(mode)
    assert cache.get(KEY, build) == b"engine 2"
    assert cache.get(KEY, build) == b"engine 3"
    assert "others can change" in warnings[0]


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    build, warnings = Builder(), list[str]()
    cache = EngineCache(tmp_path / "file" / "engines", warnings.append)
    assert cache.get(KEY, build) == b"engine 1"
    assert "cannot be kept" in warnings[0]
    assert "SEG_STREAM_CACHE" in warnings[0]


@needs_modes
@no_root
def test_a_folder_that_cannot_be_written_is_a_warning(folder: Path) -> None:
    folder.mkdir(mode=0o500)
    build, warnings = Builder(), list[str]()
    assert EngineCache(folder, warnings.append).get(KEY, build) == b"engine 1"
    assert "cannot be kept" in warnings[0]


def test_a_failed_build_leaves_nothing(folder: Path) -> None:
    def fail(_: bytes) -> Built:
        raise SegStreamError("no engine today")

    cache = EngineCache(folder)
    with pytest.raises(SegStreamError, match="today"):
        cache.get(KEY, fail)
    assert not list(folder.glob("*.engine"))
    assert cache.get(KEY, Builder()) == b"engine 1"


def test_forgetting_an_engine_and_those_used_longest_ago(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MOST", 3)
    build, cache = Builder(), EngineCache(folder)
    keys = [replace(KEY, gpu=str(number)) for number in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.get(key, build)
        os.utime(folder / f"{key.digest}.engine", (1000 + age, 1000 + age))
    cache.get(keys[0], build)  # used again
    cache.get(keys[3], build)
    assert [cache.has(key) for key in keys] == [True, False, True, True]
    cache.forget(keys[0])
    cache.forget(keys[0])
    assert not cache.has(keys[0])


def _one_process(folder: str, number: int, counts: str) -> None:
    def build(_: bytes) -> Built:
        (Path(counts) / str(number)).write_text("built")
        threading.Event().wait(0.3)  # long enough for the others to come
        return Built(b"the engine", b"timings")

    assert EngineCache(Path(folder)).get(KEY, build) == b"the engine"


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_processes_that_want_the_same_engine_build_it_once(folder: Path, tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_one_process, args=(str(folder), number, str(counts)))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list(counts.iterdir())) == 1
    assert not list(folder.glob("*.part"))


def test_threads_that_want_the_same_engine_build_it_once(folder: Path) -> None:
    build, got = Builder(), list[bytes]()
    threads = [
        threading.Thread(target=lambda: got.append(EngineCache(folder).get(KEY, build)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [b"engine 1"] * 8
    assert build.count == 1


def test_waiting_for_another_ones_build_can_be_stopped(folder: Path) -> None:
    began, end, stop = threading.Event(), threading.Event(), threading.Event()

    def slow(_: bytes) -> Built:
        began.set()
        end.wait(30)
        return Built(b"slow", b"")

    thread = threading.Thread(target=lambda: EngineCache(folder).get(KEY, slow))
    thread.start()
    began.wait(30)
    stop.set()
    with pytest.raises(Stopped, match="wait"):
        EngineCache(folder).get(KEY, Builder(), stop)
    end.set()
    thread.join(30)
    assert EngineCache(folder).get(KEY, Builder()) == b"slow"


def test_what_a_stopped_build_learned_is_there_for_the_next(folder: Path) -> None:
    def stopped(_: bytes) -> Built:
        raise BuildStopped(b"half of the timings")

    with pytest.raises(BuildStopped):
        EngineCache(folder).get(KEY, stopped)
    assert not EngineCache(folder).has(KEY)
    given = list[bytes]()

    def build(timing: bytes) -> Built:
        given.append(timing)
        return Built(b"engine", timing)

    EngineCache(folder).get(replace(KEY, onnx_sha256="another model"), build)
    assert given == [b"half of the timings"]


def test_the_folder_is_the_users_cache_or_the_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEG_STREAM_CACHE", "/somewhere/else")
    assert cache_folder() == Path("/somewhere/else")
    monkeypatch.delenv("SEG_STREAM_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/seg-stream/engines")


def test_the_key_is_readable_text() -> None:
    assert json.loads(KEY.text())["gpu"] == "NVIDIA GeForce RTX 4090"
    assert "onnx_sha256" not in KEY.timing
    assert len(KEY.digest) == 64

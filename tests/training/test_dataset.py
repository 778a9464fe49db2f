"""Composing in processes: what the threads compose, and what is said when it cannot be."""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.training.composites import Cast
from seg_stream.training.dataset import composing
from seg_stream.training.pairs import load_backgrounds, load_people
from tests.training.data import write_data

forks = pytest.mark.skipif(sys.platform != "linux", reason="processes are for Linux")


@pytest.fixture(scope="module")
def casts(tmp_path_factory: pytest.TempPathFactory) -> list[Cast]:
    data: Path = write_data(tmp_path_factory.mktemp("data"))
    return [
        Cast(
            {"ccp": load_people(data / "ccp", split).portraits},
            {"ccp": 1.0},
            load_backgrounds(data / "backgrounds", split),
        )
        for split in ("train", "val")
    ]


@forks
def test_processes_compose_what_threads_do(casts: list[Cast]) -> None:
    threads = cv2.getNumThreads()
    with composing(casts, 0) as here, composing(casts, 2) as there:
        for which in (0, 1):
            for first in (0, 4):
                asked = (which, (64, 48), 7, 3, first, 4)
                for own, other in zip(here(*asked), there(*asked), strict=True):
                    assert own.dtype == other.dtype == np.uint8
                    assert (own == other).all()
    assert cv2.getNumThreads() == threads


@forks
@pytest.mark.parametrize("of_its_own", [True, False])
def test_a_process_that_is_killed_ends_the_run_with_one_sentence(
    casts: list[Cast], of_its_own: bool
) -> None:
    before, threads = set(multiprocessing.active_children()), cv2.getNumThreads()

    def train() -> None:
        with composing(casts, 1) as composer:
            composer(0, (64, 48), 1, 0, 0, 1)
            for child in set(multiprocessing.active_children()) - before:
                child.kill()
            try:
                composer(0, (64, 48), 1, 0, 0, 1)
            except Exception as error:
                if of_its_own:  # as TensorFlow does
                    raise RuntimeError(f"Graph execution error: {error}") from None
                raise

    with pytest.raises(SegStreamError, match="fewer --processes resumes the run"):
        train()
    assert not set(multiprocessing.active_children()) - before
    assert cv2.getNumThreads() == threads


@forks
def test_what_else_goes_wrong_is_left_as_it_is(casts: list[Cast]) -> None:
    with pytest.raises(ZeroDivisionError), composing(casts, 1):
        _ = 1 / 0


def test_on_another_system_it_is_said(casts: list[Cast], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="--processes works on Linux alone"), composing(casts, 2):
        pass


@forks
def test_more_processes_than_the_system_lets_one_start_are_refused(casts: list[Cast]) -> None:
    resource = pytest.importorskip("resource")
    files = resource.RLIMIT_NOFILE
    before, limits = set(multiprocessing.active_children()), resource.getrlimit(files)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(files, (opened + 40, limits[1]))
    try:
        with (
            pytest.raises(UserError, match="--processes 100 cannot be started"),
            composing(casts, 100),
        ):
            pass
    finally:
        resource.setrlimit(files, limits)
    assert not set(multiprocessing.active_children()) - before


@forks
def test_what_is_being_composed_is_not_waited_for(casts: list[Cast]) -> None:
    before = set(multiprocessing.active_children())
    begun = time.monotonic()
    with (
        ThreadPoolExecutor(2) as threads,
        pytest.raises(KeyboardInterrupt),
        composing(casts, 2) as composer,
    ):
        long = [threads.submit(composer, 0, (512, 512), 1, 0, 0, 4000) for _ in range(2)]
        time.sleep(0.5)
        assert not any(each.done() for each in long)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 20, "4,000 samples take minutes"
    assert not set(multiprocessing.active_children()) - before

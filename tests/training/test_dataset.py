"""Composing in processes: what the threads compose, and what is said when it cannot be."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.training import dataset
from seg_stream.training.composites import Cast
from seg_stream.training.dataset import Composer, composing
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
    import resource

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
def test_ctrl_c_while_they_are_forked_is_not_lost(casts: list[Cast]) -> None:
    before, armed = set(multiprocessing.active_children()), [True]
    os.register_at_fork(before=lambda: armed and signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt), composing(casts, 2):
            pytest.fail("it began")
    finally:
        armed.clear()  # hooks cannot be taken back
    assert not set(multiprocessing.active_children()) - before


@forks
def test_what_is_being_composed_is_not_waited_for(casts: list[Cast]) -> None:
    before, begun = set(multiprocessing.active_children()), time.monotonic()
    with (
        ThreadPoolExecutor(2) as threads,
        pytest.raises(KeyboardInterrupt),
        composing(casts, 2) as composer,
    ):
        long = [threads.submit(composer, 0, (128, 96), 1, 0, 0, 100_000) for _ in range(2)]
        time.sleep(0.5)
        assert not any(each.done() for each in long)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 20, "so many samples take minutes"
    assert not set(multiprocessing.active_children()) - before


@forks
def test_nobody_waits_for_the_rest_of_an_answer(
    casts: list[Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that were killed in the middle of one left the run waiting for ever."""
    large = np.zeros((64, 512, 512, 3), np.uint8), np.zeros((64, 512, 512), np.uint8)
    monkeypatch.setattr(dataset, "compose_batch", lambda *_: large)

    def keep_asking(composer: Composer) -> None:
        while True:
            composer(0, (512, 512), 1, 0, 0, 64)

    for _ in range(3):
        with (
            ThreadPoolExecutor(2) as threads,
            pytest.raises(KeyboardInterrupt),
            composing(casts, 2) as composer,
        ):
            for _ in range(2):
                threads.submit(keep_asking, composer)
            time.sleep(0.5)
            raise KeyboardInterrupt


@forks
def test_processes_of_others_are_left_alone(casts: list[Cast]) -> None:
    with composing(casts, 1):
        other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1,))
        other.start()
    other.join()
    assert other.exitcode == 0


@forks
def test_processes_do_not_keep_a_real_time_priority(
    casts: list[Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SVT-AV1 once gave it to the thread that encodes; composers with it stop the machine."""
    policy, given = os.sched_getscheduler(0), os.sched_getparam(0)
    monkeypatch.setattr(
        dataset, "compose_batch", lambda *_: (np.array([os.sched_getscheduler(0)]), np.zeros(1))
    )
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may have it")
    try:
        with composing(casts, 1) as composer:
            assert composer(0, (64, 48), 1, 0, 0, 1)[0][0] == os.SCHED_OTHER
    finally:
        os.sched_setscheduler(0, policy, given)

"""Composing in processes: what the threads compose, and what is said when it cannot be."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.training.composites import Cast
from seg_stream.training.dataset import composing
from seg_stream.training.pairs import load_backgrounds, load_people
from tests.training.data import write_data

forks = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
)


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
def test_a_process_that_is_killed_ends_the_run_with_one_sentence(casts: list[Cast]) -> None:
    def train() -> None:
        with composing(casts, 1) as composer:
            composer(0, (64, 48), 1, 0, 0, 1)
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)
            composer(0, (64, 48), 1, 0, 0, 1)

    with pytest.raises(SegStreamError, match="fewer --processes resumes the run"):
        train()
    assert not multiprocessing.active_children()


def test_where_processes_cannot_be_forked_it_is_said(
    casts: list[Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(UserError, match="--processes needs"), composing(casts, 2):
        pass

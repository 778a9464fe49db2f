"""Batches of composites for Keras, on any back end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training.composites import Cast, Size, compose

if TYPE_CHECKING:
    import keras

Composer = Callable[[int, Size, int, int, int, int], tuple[Image, Image]]
"""Which cast, size, seed, epoch, first and count -> pixels and alpha, as `compose_batch`."""


def compose_batch(
    cast: Cast, size: Size, seed: int, epoch: int, first: int, count: int
) -> tuple[Image, Image]:
    """Compose `count` samples; sample `i` of epoch `e` depends on (seed, e, i) alone.

    Returns:
        Pixels, uint8 (B, H, W, 3) RGB, and alpha, uint8 (B, H, W), for a `size` of (W, H).
    """
    pairs = [
        compose(cast, size, np.random.default_rng([seed, epoch, i]))
        for i in range(first, first + count)
    ]
    pixels, alpha = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    return pixels, alpha


def sample_batch(
    cast: Cast,
    size: Size,
    seed: int,
    epoch: int,
    first: int,
    count: int,
    input_range: int = 255,
) -> tuple[FloatImage, FloatImage]:
    """Compose `count` samples as a network takes them.

    Returns:
        Pixels, float32 (B, H, W, 3) RGB 0..`input_range`, and alpha, float32 (B, H, W, 1) 0..1.
    """
    return _scaled(*compose_batch(cast, size, seed, epoch, first, count), input_range)


def _scaled(pixels: Image, alpha: Image, input_range: int) -> tuple[FloatImage, FloatImage]:
    return pixels.astype(np.float32) * np.float32(input_range / 255), unit(alpha[..., None])


@contextmanager
def composing(casts: Sequence[Cast], processes: int) -> Iterator[Composer]:
    """Compose batches of some of the casts: in so many processes, or where one asks if that is 0.

    The processes are forked and share the casts' memory. A library that has started threads of its
    own may hang in them, so that they must begin before Keras' back end computes anything: one run
    in a process can have them, the first, in its main thread.

    Raises:
        UserError: processes are asked for on another system than Linux, or it lets one have fewer.
        SegStreamError: one of them ended by itself (most likely it was killed for memory).
    """
    if not processes:
        yield lambda which, *asked: compose_batch(casts[which], *asked)
        return
    if sys.platform != "linux":
        raise UserError("--processes works on Linux alone; leave it out here.")
    children: list[BaseProcess] = []
    lines: list[Connection] = []
    idle: SimpleQueue[Connection] = SimpleQueue()
    ended = leaving = False

    def ask(*asked: Any) -> tuple[Image, Image]:
        nonlocal ended
        line = idle.get()
        try:
            line.send(asked)
            pixels, alpha = line.recv()
        except (EOFError, OSError):  # Keras' back ends make errors of their own of it
            ended = ended or not leaving
            raise
        finally:
            idle.put(line)
        return pixels, alpha

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a forked process has none of OpenCV's threads, and no use for more
    try:
        with _interrupts_later():
            _fork(casts, processes, children, lines)
        cv2.setNumThreads(threads)
        for line in lines:
            idle.put(line)
        yield ask
    except Exception:
        if ended:
            raise SegStreamError(
                "A process that composes samples ended by itself, perhaps for want of memory; the "
                "same command with fewer --processes resumes the run."
            ) from None
        raise
    finally:  # what they still compose is of no use: nobody waits for it
        leaving = True
        cv2.setNumThreads(threads)
        for child in children:
            child.kill()
        for child in children:
            child.join()


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C count afterwards: Python drops what is raised while it forks."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _fork(
    casts: Sequence[Cast], processes: int, children: list[BaseProcess], lines: list[Connection]
) -> None:
    """Add the processes, and the line to each.

    A process has a line of its own: one that is killed in the middle of an answer ends it, where
    with a common one everybody would wait for the rest.
    """
    forking = multiprocessing.get_context("fork")
    try:
        for _ in range(processes):
            ours, theirs = forking.Pipe()
            lines.append(ours)
            child = forking.Process(target=_serve, args=(theirs, lines, casts), daemon=True)
            child.start()
            children.append(child)
            theirs.close()
    except OSError as error:
        raise UserError(
            f"--processes {processes} cannot be started ({error.strerror}); give fewer, or leave "
            "it out."
        ) from None


def _serve(line: Connection, lines: Sequence[Connection], casts: Sequence[Cast]) -> None:
    """Answer until the parent is gone, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to say
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):  # nobody else would get to run
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    for of_parent in lines:
        of_parent.close()
    with suppress(EOFError, ConnectionError):
        while True:
            which, *asked = line.recv()
            line.send(compose_batch(casts[which], *asked))


def batches(
    composer: Composer,
    which: int,
    *,
    size: Size,
    batch: int,
    samples: int,
    seed: int,
    workers: int,
    input_range: int = 255,
    epoch: int = 0,
    vary: bool = True,
) -> keras.utils.PyDataset:
    """Endless variety, repeatable by its seed; without `vary` every epoch is the same."""
    import keras

    class Composites(keras.utils.PyDataset):  # type: ignore[misc]  # keras is untyped
        def __init__(self) -> None:
            super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=workers + 4)
            self._epoch = epoch

        def __len__(self) -> int:
            return samples // batch

        def __getitem__(self, index: int) -> tuple[FloatImage, FloatImage]:
            pair = composer(which, size, seed, self._epoch, index * batch, batch)
            return _scaled(*pair, input_range)

        def on_epoch_end(self, *_: Any) -> None:
            self._epoch += vary

    return Composites()

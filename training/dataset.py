"""Batches of composites for Keras, on any back end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
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
    in a process can have them, the first.

    Raises:
        UserError: processes are asked for on another system than Linux.
        SegStreamError: one of them ended by itself (most likely it was killed for memory).
    """
    if not processes:
        yield lambda which, *asked: compose_batch(casts[which], *asked)
        return
    if sys.platform != "linux":
        raise UserError("--processes works on Linux alone; leave it out here.")
    others = set[BaseProcess](multiprocessing.active_children())
    ended = leaving = False

    def ask(*asked: Any) -> tuple[Image, Image]:
        nonlocal ended
        try:
            return pool.submit(_compose_adopted, *asked).result()
        except BrokenProcessPool:  # Keras' back ends make errors of their own of it
            ended = ended or not leaving
            raise

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a forked process has none of OpenCV's threads, and no use for more
    try:
        with _started(casts, processes) as pool:
            cv2.setNumThreads(threads)
            try:
                yield ask
            finally:  # what they still compose is of no use: nobody waits for it
                leaving = True
                _end_all_but(others)
    except Exception:
        if ended:
            raise SegStreamError(
                "A process that composes samples ended by itself, perhaps for want of memory; the "
                "same command with fewer --processes resumes the run."
            ) from None
        raise
    finally:
        cv2.setNumThreads(threads)


def _started(casts: Sequence[Cast], processes: int) -> ProcessPoolExecutor:
    """All processes, forked.

    Raises:
        UserError: the system lets one have fewer.
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
    """
    others = set[BaseProcess](multiprocessing.active_children())
    interrupts: list[bool] = []
    # Python drops what is raised while it forks.
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        forking = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(processes, forking, _adopt, (casts,))
        pool.submit(len, ()).result()  # the first call forks them all
    except (OSError, BrokenProcessPool) as error:
        _end_all_but(others)
        reason = str(getattr(error, "strerror", "one ended at once"))
        raise UserError(
            f"--processes {processes} cannot be started ({reason}); give fewer, or leave it out."
        ) from None
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        pool.shutdown()
        raise KeyboardInterrupt
    return pool


def _end_all_but(others: set[BaseProcess]) -> None:
    children = set(multiprocessing.active_children()) - others
    for child in children:
        child.kill()
    for child in children:
        child.join()


_adopted: Sequence[Cast] = ()
"""In a forked process, and there alone: what it composes from."""


def _adopt(casts: Sequence[Cast]) -> None:
    global _adopted
    _adopted = casts
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to say
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End with the parent, however it ends: alone a process would wait for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _compose_adopted(
    which: int, size: Size, seed: int, epoch: int, first: int, count: int
) -> tuple[Image, Image]:
    return compose_batch(_adopted[which], size, seed, epoch, first, count)


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
            super().__init__(
                workers=workers, use_multiprocessing=False, max_queue_size=2 * workers + 4
            )
            self._epoch = epoch

        def __len__(self) -> int:
            return samples // batch

        def __getitem__(self, index: int) -> tuple[FloatImage, FloatImage]:
            pair = composer(which, size, seed, self._epoch, index * batch, batch)
            return _scaled(*pair, input_range)

        def on_epoch_end(self, *_: Any) -> None:
            self._epoch += vary

    return Composites()

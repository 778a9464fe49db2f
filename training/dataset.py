"""Batches of composites for Keras, on any back end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seg_stream.pipeline.types import FloatImage, unit
from seg_stream.training.composites import Cast, compose

if TYPE_CHECKING:
    import keras


def sample_batch(
    cast: Cast,
    size: tuple[int, int],
    seed: int,
    epoch: int,
    first: int,
    count: int,
    input_range: int = 255,
) -> tuple[FloatImage, FloatImage]:
    """Compose `count` samples; sample `i` of epoch `e` depends on (seed, e, i) alone.

    Returns:
        Pixels, float32 (B, H, W, 3) RGB 0..`input_range`, and alpha, float32 (B, H, W, 1) 0..1, for
        a `size` of (W, H).
    """
    pairs = [
        compose(cast, size, np.random.default_rng([seed, epoch, i]))
        for i in range(first, first + count)
    ]
    pixels, alpha = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    return pixels.astype(np.float32) * np.float32(input_range / 255), unit(alpha[..., None])


def batches(
    cast: Cast,
    *,
    size: tuple[int, int],
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
            super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=8)
            self._epoch = epoch

        def __len__(self) -> int:
            return samples // batch

        def __getitem__(self, index: int) -> tuple[FloatImage, FloatImage]:
            first = index * batch
            return sample_batch(cast, size, seed, self._epoch, first, batch, input_range)

        def on_epoch_end(self, *_: Any) -> None:
            self._epoch += vary

    return Composites()

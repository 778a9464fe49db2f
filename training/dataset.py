"""Batches of composites for Keras, on any back end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from seg_stream.pipeline.types import FloatImage
from seg_stream.training.composites import Cast, compose


class Composites(keras.utils.PyDataset):  # type: ignore[misc]  # keras is untyped
    """Endless variety, yet repeatable: sample `i` of epoch `e` depends on (seed, e, i) alone.

    Each item is `(pixels, alpha)`: float32 (B, S, S, 3) RGB 0..255 and (B, S, S, 1) 0..1.
    """

    def __init__(
        self,
        cast: Cast,
        *,
        size: int,
        batch: int,
        samples: int,
        seed: int,
        epoch: int = 0,
        vary: bool = True,
        workers: int = 2,
    ) -> None:
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=8)
        self._cast, self._size, self._batch = cast, size, batch
        self._batches = samples // batch
        self._seed, self._epoch, self._vary = seed, epoch, vary

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> tuple[FloatImage, FloatImage]:
        pairs = []
        for i in range(index * self._batch, (index + 1) * self._batch):
            rng = np.random.default_rng([self._seed, self._epoch, i])
            pairs.append(compose(self._cast, self._size, rng))
        pixels, alpha = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        return pixels.astype(np.float32), alpha[..., None].astype(np.float32) / 255

    def on_epoch_end(self, *_: Any) -> None:
        """Draw other samples in the next epoch, unless this is a fixed set for validation."""
        self._epoch += self._vary

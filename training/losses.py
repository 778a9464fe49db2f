"""A loss and a score that serve masks, on any Keras back end."""

from __future__ import annotations

from typing import Any

from seg_stream.training.gaps import WIDEST

EDGE_WEIGHT = 2.0
"""How much more a pixel near the person's outline counts in the cross-entropy."""

GAP_WEIGHT = 5.0
"""How much more the room between two parts of a person counts, such as an arm and the body: it is
little of a picture, and the network is wrong there as surely as it is right in the body."""


def matte_loss(alpha: Any, predicted: Any) -> Any:
    """Cross-entropy weighted at the outline and in gaps, plus the soft Dice loss of the region.

    Dice after Milletari et al., "V-Net", 2016; the outline is where a 7x7 maximum and minimum of
    the true alpha differ. `alpha` is (N, H, W, 1) and `predicted` (N, H, W, C) in 0..1, each of its
    channels the person's probability (the article's U-Net has three); returns (N,).
    """
    from keras import ops

    dilated = ops.max_pool(alpha, 7, strides=1, padding="same")
    eroded = 1.0 - ops.max_pool(1.0 - alpha, 7, strides=1, padding="same")
    weight = 1.0 + EDGE_WEIGHT * (dilated - eroded) + GAP_WEIGHT * _gaps(alpha)
    alpha, weight = (ops.broadcast_to(x, ops.shape(predicted)) for x in (alpha, weight))
    predicted = ops.clip(predicted, 1e-6, 1.0 - 1e-6)
    entropy = -(alpha * ops.log(predicted) + (1.0 - alpha) * ops.log(1.0 - predicted))
    axes = (1, 2, 3)
    entropy = ops.sum(weight * entropy, axes) / ops.sum(weight, axes)
    overlap = ops.sum(alpha * predicted, axes)
    dice = (2 * overlap + 100.0) / (ops.sum(alpha, axes) + ops.sum(predicted, axes) + 100.0)
    return entropy + 0.5 * (1.0 - dice)


def _gaps(alpha: Any) -> Any:
    """How far a closing along the rows fills each pixel, 0..1, like `alpha` (N, H, W, 1)."""
    from keras import ops

    across = int(WIDEST * alpha.shape[1]) | 1
    # Beyond the frame's sides there is nobody.
    person = ops.pad(alpha, [(0, 0), (0, 0), (across, across), (0, 0)])
    widened = ops.max_pool(person, (1, across), strides=1, padding="same")
    closed = 1.0 - ops.max_pool(1.0 - widened, (1, across), strides=1, padding="same")
    return ops.relu(closed - person)[:, :, across:-across]


def iou(alpha: Any, predicted: Any) -> Any:
    """Intersection over union of the masks at 0.5 for each sample, (N,); two empty masks give 1."""
    from keras import ops

    true = ops.cast(alpha > 0.5, "float32")
    found = ops.cast(ops.mean(predicted, -1, keepdims=True) > 0.5, "float32")
    both = ops.sum(true * found, (1, 2, 3))
    either = ops.sum(ops.maximum(true, found), (1, 2, 3))
    return (both + 1e-6) / (either + 1e-6)

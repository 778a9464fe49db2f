"""EfficientNet-Lite's bodies: encoders of inverted residuals that come with ImageNet weights.

Tan and Le, "EfficientNet", 2019, in the "lite" form that its authors published for phones: no
squeeze-and-excitation, ReLU6 for swish, so that a CPU and TensorRT run it well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import keras
    import numpy.typing as npt


@dataclass(frozen=True)
class Stage:
    """`repeats` inverted residuals of which the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    filters: int
    repeats: int


STEM = 32
LITE0 = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
LITE2 = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 3),
    Stage(5, 2, 6, 48, 3),
    Stage(3, 2, 6, 88, 4),
    Stage(5, 1, 6, 120, 4),
    Stage(5, 2, 6, 208, 5),
    Stage(3, 1, 6, 352, 1),
)
"""1.1 times as wide as Lite0, 1.2 times as deep."""

EPSILON = 1e-3
"""Of the batch norms, as in the authors' code."""


CONTEXT = "context_"
"""What the layers' names of a second body in a network begin with."""


def scaled(pixels: Any) -> Any:
    """RGB pixels 0..255 as the bodies want them."""
    from keras import layers

    return layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(pixels)


def body(
    picture: Any,
    stages: Sequence[Stage] = LITE0,
    repeats: tuple[int, ...] | None = None,
    prefix: str = "",
) -> list[Any]:
    """Apply a body to a scaled picture: all of it, or as many blocks a stage as `repeats` says.

    The blocks keep their published numbers in their names, whichever are left out, after `prefix`:
    none, or `CONTEXT`.

    Returns:
        The last features of each resolution, from half the picture's size to a 32nd.

    Raises:
        ValueError: `repeats` asks for more stages or blocks than there are.
    """
    from keras import layers

    full = tuple(stage.repeats for stage in stages)
    repeats = full if repeats is None else repeats
    if len(repeats) > len(full) or not all(
        1 <= used <= there for used, there in zip(repeats, full, strict=False)
    ):
        raise ValueError(f"repeats is {repeats}; each must be from 1 to that of {full}")
    stem = layers.Conv2D(STEM, 3, 2, "same", use_bias=False, name=f"{prefix}stem")
    x = _norm(stem(picture), f"{prefix}stem_norm")
    levels: list[Any] = [x]
    first = 0
    for stage, used in zip(stages, repeats, strict=False):
        for repeat in range(used):
            stride = stage.stride if repeat == 0 else 1
            if stride == 2:
                levels.append(x)
            x = _inverted_residual(x, stage, stride, f"{prefix}block{first + repeat}")
            levels[-1] = x
        first += stage.repeats
    return levels


def _inverted_residual(x: Any, stage: Stage, stride: int, name: str) -> Any:
    from keras import layers

    entry, channels = x, x.shape[-1]
    if stage.expansion > 1:
        expand = layers.Conv2D(channels * stage.expansion, 1, use_bias=False, name=f"{name}_expand")
        x = _norm(expand(x), f"{name}_expand_norm")
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, stride, "same", use_bias=False, name=f"{name}_depthwise"
    )
    x = _norm(depthwise(x), f"{name}_depthwise_norm")
    project = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project")
    x = _norm(project(x), f"{name}_project_norm", activate=False)
    return layers.Add()([entry, x]) if stride == 1 and channels == stage.filters else x


def _norm(x: Any, name: str, activate: bool = True) -> Any:
    from keras import layers

    x = layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=name)(x)
    return layers.ReLU(max_value=6.0)(x) if activate else x


def load_imagenet(model: keras.Model, weights: Mapping[str, npt.NDArray[np.float32]]) -> int:
    """Put published ImageNet weights into a model that was built on `body`.

    Args:
        model: its layers are found by their names.
        weights: arrays by the names of the PyTorch port (`_blocks.0._bn1.weight` …), OIHW.

    Returns:
        How many layers were filled.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another shape.
    """
    filled = 0
    for layer in model.layers:
        names = _published(layer.name)
        if names is None:
            continue
        arrays = [np.asarray(weights[name]) for name in names]
        if len(arrays) == 1:
            depthwise = layer.name.endswith("_depthwise")
            arrays = [arrays[0].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
        layer.set_weights(arrays)
        filled += 1
    return filled


def freeze_generic(model: keras.Model, blocks: int = 3) -> None:
    """Keep the stem, the first blocks, all depthwise filters and norms of the body while training.

    Edges and blobs serve any picture, and their gradients are most of the price of a step.
    """
    for layer in model.layers:
        if _published(layer.name) is None:
            continue
        block = layer.name.removeprefix(CONTEXT).partition("_")[0].removeprefix("block")
        early = not block.isdigit() or int(block) < blocks
        if early or layer.name.endswith(("_norm", "_depthwise")):
            layer.trainable = False


def _published(name: str) -> list[str] | None:
    """The port's names of a layer's arrays; None for layers that are not of a body."""
    name = name.removeprefix(CONTEXT)
    if name == "stem":
        return ["_conv_stem.weight"]
    if name == "stem_norm":
        return _norm_arrays("_bn0")
    if not name.startswith("block"):
        return None
    block, _, part = name.removeprefix("block").partition("_")
    if part in ("expand", "depthwise", "project"):
        return [f"_blocks.{block}._{part}_conv.weight"]
    norm = {"expand_norm": 0, "depthwise_norm": 1, "project_norm": 2}.get(part)
    if norm is None:
        return None
    return _norm_arrays(f"_blocks.{block}._bn{norm}")


def _norm_arrays(prefix: str) -> list[str]:
    return [f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]

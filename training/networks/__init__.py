"""The architectures by name: the article's, its neighbours, and the one for a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seg_stream.training.networks.deeplab import deeplabv3plus
from seg_stream.training.networks.fcn import fcn8s, fcn16s, fcn32s
from seg_stream.training.networks.two_scale import two_scale
from seg_stream.training.networks.unet import unet
from seg_stream.training.networks.unet_lite import unet_lite, unet_lite2

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Architecture:
    """How a network is built and fed.

    `build` takes (height, width, 3) and the width of the network; `multiple` divides both sides;
    `width` is the default; `input_range` is what it takes for white; `body` is the published
    network whose ImageNet weights its body can begin with.
    """

    build: Callable[[tuple[int, int, int], int], keras.Model]
    multiple: int
    width: int
    input_range: Literal[1, 255] = 255
    body: str | None = None


ARCHITECTURES = {
    "unet": Architecture(
        lambda size, width: unet(input_size=size, width=width), 16, 16, input_range=1
    ),
    "unet_lite": Architecture(unet_lite, 32, 16, body="EfficientNet-Lite0"),
    "unet_lite2": Architecture(unet_lite2, 32, 32, body="EfficientNet-Lite2"),
    "two_scale": Architecture(two_scale, 32, 16, body="EfficientNet-Lite0"),
    "fcn32s": Architecture(fcn32s, 32, 16),
    "fcn16s": Architecture(fcn16s, 32, 16),
    "fcn8s": Architecture(fcn8s, 32, 16),
    "deeplabv3plus": Architecture(deeplabv3plus, 16, 32),
}

_with_body = [name for name, each in ARCHITECTURES.items() if each.body]
WITH_BODY = f"{', '.join(_with_body[:-1])} and {_with_body[-1]}"
"""Those whose body can begin with ImageNet's weights, for sentences."""

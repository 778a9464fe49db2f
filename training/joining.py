"""Join two trained networks into one of two scales.

By hand: `python -m seg_stream.training.joining OUT.keras DETAIL.keras CONTEXT.keras`, the weights
of `unet_lite` at, for example, 384x224 and 256x128; see `networks/two_scale.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seg_stream.pipeline.errors import UserError
from seg_stream.training.averaging import by_hand, check_new, refused, save_new
from seg_stream.training.networks.two_scale import join
from seg_stream.training.networks.unet_lite import STRIDE, unet_lite

if TYPE_CHECKING:
    import keras


def load_lite(path: Path) -> tuple[keras.Model, int]:
    """Read a `unet_lite` and its width, whatever its layers were called when it was saved.

    Raises:
        UserError: the file cannot be read or is of another network.
    """
    import keras

    with refused(path, "joined", "give a .keras file of unet_lite"):
        saved = keras.models.load_model(path, compile=False, safe_mode=True)
        if len(saved.weights) != len(unet_lite((STRIDE, STRIDE, 3), 1).weights):
            raise ValueError("it has other layers")
        width = [layer.filters for layer in saved.layers if type(layer) is keras.layers.Conv2D][-1]
        model = unet_lite(tuple(saved.input_shape[1:]), width)
        model.set_weights(saved.get_weights())
    return model, width


def main() -> int:
    """Write the joined network; returns the exit code."""
    parser = argparse.ArgumentParser(prog="joining", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("detail", type=Path, help="decides outlines")
    parser.add_argument("context", type=Path, help="helps to tell people from things")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return by_hand("joining", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    check_new(options.out)
    (detail, width), (context, other) = map(load_lite, (options.detail, options.context))
    if width != other:
        raise UserError(f"The two cannot be joined: their widths are {width} and {other}.")
    try:
        model = join(detail, context, width)
    except ValueError as error:
        raise UserError(f"The two cannot be joined: {error}.") from None
    save_new(model, options.out)


if __name__ == "__main__":
    sys.exit(main())

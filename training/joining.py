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

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.sinks.part_file import check_target
from seg_stream.training.averaging import refused, save
from seg_stream.training.networks.two_scale import join
from seg_stream.training.networks.unet_lite import unet_lite

if TYPE_CHECKING:
    import keras


def load_lite(path: Path, width: int) -> keras.Model:
    """Read the weights of a `unet_lite`, whatever its layers were called when it was saved.

    Raises:
        UserError: the file cannot be read or is of another network.
    """
    import keras

    with refused(path, "joined", "give a .keras file of unet_lite"):
        saved = keras.models.load_model(path, compile=False, safe_mode=True)
        model = unet_lite(tuple(saved.input_shape[1:]), width)
        model.set_weights(saved.get_weights())
    return model


def main() -> int:
    """Write the joined network; returns the exit code."""
    parser = argparse.ArgumentParser(prog="joining", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("detail", type=Path, help="decides outlines")
    parser.add_argument("context", type=Path, help="helps to tell people from things")
    parser.add_argument("--width", type=int, default=16, help="of both networks")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if options.out.suffix != ".keras":
            raise UserError(f"{options.out} is no name for Keras weights; let it end in .keras.")
        check_target(options.out, overwrite=False)
        parts = [load_lite(path, options.width) for path in (options.detail, options.context)]
        try:
            model = join(*parts)
        except ValueError as error:
            raise UserError(f"The two cannot be joined: {error}.") from None
        save(model, options.out)
    except SegStreamError as error:
        print(f"joining: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the README's picture: the sample clip's middle frame, untouched, blurred and replaced.

`python -m seg_stream.benchmarks.picture docs/demo.jpg`
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sample import RATE, read_portrait, view

FRAMES = 2 * RATE


def main() -> int:
    """Write the picture; returns the exit code."""
    try:
        portrait_bgr = read_portrait()
        frames = [view(portrait_bgr, index / RATE) for index in range(FRAMES)]
        panels = [frames[-1]]
        for background in ("blur", "#00b140"):
            with VirtualBackground(background) as effect:
                panels.append([effect(frame) for frame in frames][-1])
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
    encoded = cv2.imencode(".jpg", np.hstack(panels), quality)[1]
    Path(sys.argv[1]).write_bytes(encoded.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())

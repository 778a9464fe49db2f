"""Every 15th frame of each clip, cut out on green, as one picture a clip: to be looked at.

`python -m seg_stream.benchmarks.contact_sheet CLIP... --out DIR [--model portrait]`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from seg_stream.engines.models import DEFAULT
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.sources import open_file
from seg_stream.pipeline.types import Image
from seg_stream.training.records import grid

EVERY = 15
TILE = (400, 300)
COLUMNS = 4


def main() -> int:
    """Write the sheets; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--bg", default="#00b140")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for clip in options.clips:
            path = options.out / f"{clip.stem}.png"
            cv2.imwrite(str(path), contact_sheet(clip, options.model, options.bg))
            print(path, flush=True)
    except SegStreamError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def contact_sheet(clip: Path, model: str, background: str) -> Image:
    """Composite the whole clip, so that steadying works as in use, and keep every 15th frame."""
    tiles = []
    with open_file(clip) as source, VirtualBackground(background, model=model) as effect:
        for i, frame in enumerate(source):
            result = effect.process(frame)
            if i % EVERY == 0:
                tile = cv2.resize(to_bgr(result), TILE, interpolation=cv2.INTER_AREA)
                cv2.putText(tile, str(i), (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
                tiles.append(np.asarray(tile, np.uint8))
    return grid(tiles, COLUMNS)


if __name__ == "__main__":
    sys.exit(main())

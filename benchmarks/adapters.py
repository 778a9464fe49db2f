"""Other people's tools in the plain loop, where they are installed; the loop is `plain.loop`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from seg_stream.benchmarks.plain import loop
from seg_stream.pipeline.types import FloatImage, Image


def is_installed(tool: str) -> bool:
    """Whether a tool can be imported."""
    return find_spec(tool) is not None


def mediapipe_loop(clip: Path, output: Path, model: str, background: Path) -> int:
    """MediaPipe's ImageSegmenter in its mode for video, with the task's .tflite as `model`.

    Source: ai.google.dev/edge/mediapipe/solutions/vision/image_segmenter/python
    """
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        output_confidence_masks=True,
    )
    times = iter(range(0, 1 << 30, 33))
    with vision.ImageSegmenter.create_from_options(options) as segmenter:

        def find_mask(frame_bgr: Image) -> FloatImage:
            pixels = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB)
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(pixels))
            masks = segmenter.segment_for_video(image, next(times)).confidence_masks
            # With two classes the first is the room, with one it is the person.
            mask = np.asarray(masks[-1].numpy_view(), np.float32)
            return mask.reshape(mask.shape[:2])

        return loop(clip, output, background, find_mask)


def rembg_loop(clip: Path, output: Path, model: str, background: Path) -> int:
    """The `remove` of rembg with one session, masks only, as its documentation says for videos.

    `model` is the name of one of its models, or a file that is fed as its U2-Net is.
    """
    import rembg

    custom = Path(model).is_file()
    session = (
        rembg.new_session("u2net_custom", model_path=model) if custom else rembg.new_session(model)
    )

    def find_mask(frame_bgr: Image) -> FloatImage:
        pixels = np.ascontiguousarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB))
        mask = rembg.remove(pixels, session=session, only_mask=True)
        return np.asarray(mask, np.float32) / np.float32(255)

    return loop(clip, output, background, find_mask)

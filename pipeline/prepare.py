"""Make the network's small input from a frame: the only place where video becomes RGB."""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.colour import yuv_to_rgb
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.types import FloatImage


def prepare(frame: Frame, spec: TensorSpec, info: ModelInfo) -> FloatImage:
    """Squeeze the frame into the network's input size and scale it as the model wants it.

    Returns:
        float32 of `spec.shape`, a new array.
    """
    small = frame.shrunk(spec.width, spec.height)
    if frame.format == "bgr24":
        pixels = small[0][:, :, ::-1].astype(np.float32)
    else:
        matrix = yuv_to_rgb(frame.colour.matrix(frame.height), frame.colour.full_range)
        rgb = cv2.transform(cv2.merge(small).astype(np.float32), matrix)
        pixels = np.clip(rgb, 0, 255)
    if info.input_colour == "BGR":
        pixels = pixels[:, :, ::-1]
    # Channel by channel, which is far quicker than three numbers at a time.
    tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if info.scales_input:
        mean, std = np.array([info.input_mean, info.input_std], np.float32)[..., None, None]
        tensor = (tensor - mean) / std
    if spec.layout == "NHWC":
        tensor = tensor.transpose(1, 2, 0)
    return np.ascontiguousarray(tensor[None], np.float32)

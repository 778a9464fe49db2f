"""Make the network's small input from a frame: the only place where video becomes RGB."""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.colour import yuv_to_rgb
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.types import FloatImage, Image


def prepare(frame: Frame, spec: TensorSpec, info: ModelInfo) -> FloatImage:
    """Squeeze the frame into the network's input size and scale it as the model wants it.

    Returns:
        float32 of `spec.shape`, a new array.
    """
    small = [_shrink(plane, spec.width, spec.height) for plane in frame.planes]
    if frame.format == "bgr24":
        pixels = small[0][:, :, ::-1].astype(np.float32)
    else:
        matrix = yuv_to_rgb(frame.colour.matrix(frame.height), frame.colour.full_range)
        rgb = cv2.transform(cv2.merge(small).astype(np.float32), matrix)
        pixels = np.clip(rgb, 0, 255)
    if info.input_colour == "BGR":
        pixels = pixels[:, :, ::-1]
    mean, std = np.array([info.input_mean, info.input_std], np.float32)
    pixels = (pixels - mean) / std
    if spec.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None], np.float32)


def _shrink(plane: Image, width: int, height: int) -> Image:
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        # Exact halving is far quicker than one area resize by an odd factor.
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)
    shrinks = width < plane.shape[1] and height < plane.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=interpolation), np.uint8)

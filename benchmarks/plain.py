"""A virtual background as people write it: one loop of OpenCV and ONNX Runtime.

Read a frame, resize it, run the network with its default settings, resize the mask, blend in
floating point, write the frame. OpenCV writes MPEG-4, which is quicker to encode than the H.264 of
seg-stream, and no sound.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from seg_stream.engines.model_info import ModelInfo, read_info
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import FloatImage, Image


def plain_loop(clip: Path, output: Path, model: Path, background: Path) -> int:
    """Convert a clip; returns how many frames it has.

    Raises:
        UserError: the clip or the output cannot be opened.
    """
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    info = read_info(model, session.get_modelmeta().custom_metadata_map)
    feed = session.get_inputs()[0]
    return loop(clip, output, background, lambda frame: _mask(session, feed, info, frame))


def loop(clip: Path, output: Path, background: Path, find_mask: Any) -> int:
    """Read, find the mask, (H, W) 0..1 of any size, blend, write; returns the number of frames.

    Raises:
        UserError: the clip, the output or the background cannot be opened.
    """
    capture = cv2.VideoCapture(str(clip))
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    rate = capture.get(cv2.CAP_PROP_FPS)
    writer = cv2.VideoWriter(str(output), fourcc, rate, (width, height))
    picture = cv2.imread(str(background))
    if not capture.isOpened() or not writer.isOpened() or picture is None:
        raise UserError(f"OpenCV cannot read {clip} or {background}, or not write {output}.")
    room = cv2.resize(picture, (width, height)).astype(np.float32)
    frames = 0
    while True:
        got, frame = capture.read()
        if not got:
            break
        mask = cv2.resize(find_mask(frame), (width, height))
        alpha = mask[:, :, None]
        result = alpha * frame.astype(np.float32) + (1 - alpha) * room
        writer.write(result.astype(np.uint8))
        frames += 1
    capture.release()
    writer.release()
    return frames


def _mask(session: Any, feed: Any, info: ModelInfo, frame_bgr: Image) -> FloatImage:
    channels_last = info.input_layout == "NHWC"
    height, width = feed.shape[1:3] if channels_last else feed.shape[2:4]
    small = cv2.resize(frame_bgr, (width, height))
    if info.input_colour == "RGB":
        small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
    mean, std = (np.array(each, np.float32) for each in (info.input_mean, info.input_std))
    pixels = (small.astype(np.float32) - mean) / std
    if not channels_last:
        pixels = pixels.transpose(2, 0, 1)
    output = session.run(None, {feed.name: np.ascontiguousarray(pixels[None])})[0][0]
    channel = info.output_channel
    mask: FloatImage = output[..., channel] if info.output_layout == "NHWC" else output[channel]
    return mask

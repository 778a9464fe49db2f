"""Between PyAV's frames and our planes; swscale does the conversions."""

from __future__ import annotations

from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from seg_stream.pipeline.colour import Colour, Matrix
from seg_stream.pipeline.frame import Frame, PixelFormat
from seg_stream.pipeline.types import Image

_NATIVE: dict[str, PixelFormat] = {
    "yuv420p": "yuv420p",
    "yuv422p": "yuv422p",
    "yuv444p": "yuv444p",
    "yuvj420p": "yuv420p",  # the j formats are the same planes in full range
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
}
_COLORSPACE = {
    Matrix.BT601: Colorspace.ITU601,
    Matrix.BT709: Colorspace.ITU709,
    Matrix.BT2020: Colorspace.BT2020,
}


def to_native(picture: av.VideoFrame) -> tuple[PixelFormat, av.VideoFrame]:
    """Return the picture as it is where its format is one of ours, else as 8-bit YUV.

    Others (10 bit, NV12 …) keep the stream's own matrix; RGB becomes BGR. Odd sizes become 4:4:4,
    since no encoder takes them with halved chroma, and so does a 4:2:2 picture to be turned.
    """
    name = picture.format.name
    if any(plane.line_size < 0 for plane in picture.planes):
        # Stored bottom-up, as old Windows videos are; a conversion turns the rows around.
        other = "yuv422p" if name == "yuv444p" else "yuv444p"
        picture = picture.reformat(format="rgb24" if picture.format.is_rgb else other)
        name = picture.format.name
    if picture.format.is_rgb or picture.format.has_palette:
        return "bgr24", picture.reformat(format="bgr24")
    target = native_format(picture)
    if _NATIVE.get(name) == target:
        return target, picture
    level = ColorRange.JPEG if is_full_range(picture) else ColorRange.MPEG
    converted = picture.reformat(format=target, dst_color_range=level)
    return target, converted


def native_format(picture: av.VideoFrame) -> PixelFormat:
    """What `to_native` makes of a picture."""
    if picture.format.is_rgb or picture.format.has_palette:
        return "bgr24"
    target = _NATIVE.get(picture.format.name, "yuv420p")
    if (picture.width | picture.height) % 2 or (target == "yuv422p" and picture.rotation):
        return "yuv444p"
    return target


def is_full_range(picture: av.VideoFrame) -> bool:
    """Whether luma uses 0..255; the `yuvj` formats say so by their name."""
    return picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG


def planes_of(picture: av.VideoFrame) -> tuple[Image, ...]:
    """The planes as arrays over PyAV's own memory, rows padded as they are."""
    planes = []
    for plane in picture.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height]
        rows = rows.reshape(plane.height, plane.line_size)
        if picture.format.name == "bgr24":
            planes.append(rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3))
        else:
            planes.append(rows[:, : plane.width])
    return tuple(planes)


def to_picture(frame: Frame, with_alpha: bool = False) -> av.VideoFrame:
    """Copy a frame into a new PyAV picture; BGR becomes 4:2:0 (4:4:4 for odd sizes) in BT.709.

    With alpha the picture is of the same format with a fourth plane (`yuva…`).
    """
    if with_alpha:
        return _with_alpha(frame)
    if frame.format == "bgr24":
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.planes[0]), format="bgr24")
        format = "yuv444p" if (frame.width | frame.height) % 2 else "yuv420p"
        return picture.reformat(
            format=format, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
    picture = av.VideoFrame(frame.width, frame.height, frame.format)
    for target, plane in zip(planes_of(picture), frame.planes, strict=True):
        np.copyto(target, plane)
    return picture


def to_bt601(picture: av.VideoFrame, frame: Frame) -> av.VideoFrame:
    """The same picture in BT.601, limited range, for formats that know no other."""
    if frame.format == "bgr24":  # `to_picture` made BT.709 of it
        matrix, full_range = Matrix.BT709, False
    else:
        matrix, full_range = frame.colour.matrix(frame.height), frame.colour.full_range
    return picture.reformat(
        format=picture.format.name,
        src_colorspace=_COLORSPACE[matrix],
        dst_colorspace=Colorspace.ITU601,
        src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
    )


def _with_alpha(frame: Frame) -> av.VideoFrame:
    opaque = to_picture(frame)
    picture = av.VideoFrame(frame.width, frame.height, opaque.format.name.replace("yuv", "yuva"))
    alpha = np.full((frame.height, frame.width), 255, np.uint8)
    sources = (*planes_of(opaque), alpha if frame.alpha_hw is None else frame.alpha_hw)
    for target, plane in zip(planes_of(picture), sources, strict=True):
        np.copyto(target, plane)
    return picture


def bgr_to_planes(image_bgr: Image, format: PixelFormat, colour: Colour) -> tuple[Image, ...]:
    """Convert a picture, uint8 (H, W, 3), to the planes and colour space of a frame of its size."""
    if format == "bgr24":
        return (image_bgr,)
    height = image_bgr.shape[0]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image_bgr), format="bgr24")
    converted = picture.reformat(
        format=format,
        dst_colorspace=_COLORSPACE[colour.matrix(height)],
        dst_color_range=ColorRange.JPEG if colour.full_range else ColorRange.MPEG,
    )
    return planes_of(converted)


def to_bgr(frame: Frame) -> Image:
    """The frame as (H, W, 3) uint8 BGR, for windows and picture files."""
    if frame.format == "bgr24":
        return frame.planes[0]
    picture = to_picture(frame)
    converted = picture.reformat(
        format="bgr24",
        src_colorspace=_COLORSPACE[frame.colour.matrix(frame.height)],
        src_color_range=ColorRange.JPEG if frame.colour.full_range else ColorRange.MPEG,
    )
    return cast(Image, converted.to_ndarray())

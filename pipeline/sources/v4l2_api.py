"""Structures, numbers and flags of linux/videodev2.h; each docstring begins with the C name."""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_int32, c_long, c_uint8, c_uint32, c_ulong
from typing import Any

CAPTURE, MMAP = 1, 1
CAP_VIDEO_CAPTURE, CAP_DEVICE_CAPS = 0x1, 0x80000000
DISCRETE = 1
FLAG_ERROR, FLAG_TIMESTAMP, FLAG_MONOTONIC = 0x40, 0xE000, 0x2000


class Capability(Structure):
    """v4l2_capability."""

    _fields_ = (
        ("driver", c_uint8 * 16), ("card", c_uint8 * 32), ("bus_info", c_uint8 * 32),
        ("version", c_uint32), ("capabilities", c_uint32), ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )  # fmt: skip


class FormatDescription(Structure):
    """v4l2_fmtdesc."""

    _fields_ = (
        ("index", c_uint32), ("type", c_uint32), ("flags", c_uint32),
        ("description", c_uint8 * 32), ("pixelformat", c_uint32), ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )  # fmt: skip


class FrameSize(Structure):
    """v4l2_frmsizeenum.

    Discrete: width, height; stepwise: min, max and step of the width, then of the height.
    """

    _fields_ = (
        ("index", c_uint32), ("pixelformat", c_uint32), ("type", c_uint32),
        ("sides", c_uint32 * 6), ("reserved", c_uint32 * 2),
    )  # fmt: skip


class FrameInterval(Structure):
    """v4l2_frmivalenum. Discrete: one fraction of a second; stepwise: min, max and step."""

    _fields_ = (
        ("index", c_uint32), ("pixelformat", c_uint32), ("width", c_uint32), ("height", c_uint32),
        ("type", c_uint32), ("fractions", c_uint32 * 6), ("reserved", c_uint32 * 2),
    )  # fmt: skip


class PixelFormat(Structure):
    """v4l2_pix_format."""

    _fields_ = (
        ("width", c_uint32), ("height", c_uint32), ("pixelformat", c_uint32), ("field", c_uint32),
        ("bytesperline", c_uint32), ("sizeimage", c_uint32), ("colorspace", c_uint32),
        ("priv", c_uint32), ("flags", c_uint32), ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32), ("xfer_func", c_uint32),
    )  # fmt: skip


class _FormatUnion(Union):
    _fields_ = (("pix", PixelFormat), ("raw", c_uint8 * 200), ("align", c_ulong))


class Format(Structure):
    """v4l2_format."""

    _fields_ = (("type", c_uint32), ("fmt", _FormatUnion))


class Parameters(Structure):
    """v4l2_streamparm."""

    _fields_ = (
        ("type", c_uint32), ("capability", c_uint32), ("capturemode", c_uint32),
        ("numerator", c_uint32), ("denominator", c_uint32), ("rest", c_uint8 * 184),
    )  # fmt: skip


class BufferRequest(Structure):
    """v4l2_requestbuffers."""

    _fields_ = (
        ("count", c_uint32), ("type", c_uint32), ("memory", c_uint32), ("capabilities", c_uint32),
        ("flags", c_uint8), ("reserved", c_uint8 * 3),
    )  # fmt: skip


class Buffer(Structure):
    """v4l2_buffer."""

    _fields_ = (
        ("index", c_uint32), ("type", c_uint32), ("bytesused", c_uint32), ("flags", c_uint32),
        ("field", c_uint32), ("seconds", c_long), ("microseconds", c_long),
        ("timecode", c_uint32 * 4), ("sequence", c_uint32), ("memory", c_uint32),
        ("offset", c_ulong), ("length", c_uint32), ("reserved", c_uint32),
        ("request_fd", c_int32),
    )  # fmt: skip


def _code(direction: int, number: int, structure: type[Any]) -> int:
    return direction << 30 | ctypes.sizeof(structure) << 16 | ord("V") << 8 | number


READ, WRITE, BOTH = 2, 1, 3
QUERYCAP = _code(READ, 0, Capability)
ENUM_FMT = _code(BOTH, 2, FormatDescription)
S_FMT = _code(BOTH, 5, Format)
REQBUFS = _code(BOTH, 8, BufferRequest)
QUERYBUF = _code(BOTH, 9, Buffer)
QBUF = _code(BOTH, 15, Buffer)
DQBUF = _code(BOTH, 17, Buffer)
STREAMON = _code(WRITE, 18, c_int32)
STREAMOFF = _code(WRITE, 19, c_int32)
S_PARM = _code(BOTH, 22, Parameters)
ENUM_FRAMESIZES = _code(BOTH, 74, FrameSize)
ENUM_FRAMEINTERVALS = _code(BOTH, 75, FrameInterval)

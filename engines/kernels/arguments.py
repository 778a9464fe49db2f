"""The arguments of the kernels, field by field like the structs of the same names in CUDA C."""

from __future__ import annotations

from ctypes import Structure, c_float, c_int, c_void_p


class Plane(Structure):
    """One channel of a picture: address, bytes from row to row and pixel to pixel, size."""

    _fields_ = (
        ("data", c_void_p),
        ("pitch", c_int),
        ("step", c_int),
        ("width", c_int),
        ("height", c_int),
    )


class PrepareArguments(Structure):
    """See prepare.cu."""

    _fields_ = (
        ("planes", Plane * 3),
        ("luma", Plane),
        ("tensor", c_void_p),
        ("guide", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("half", c_int),
        ("nhwc", c_int),
        ("halvings", c_int * 4),
        ("matrix", c_float * 12),
        ("scale", c_float * 3),
        ("shift", c_float * 3),
    )


class ShrinkArguments(Structure):
    """See prepare.cu."""

    _fields_ = (
        ("planes", Plane * 3),
        ("target", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("halvings", c_int),
        ("grey", c_int),
    )

"""The arguments of the kernels, field by field like the structs of the same names in CUDA C."""

from __future__ import annotations

from ctypes import Structure, c_byte, c_float, c_int, c_void_p


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
        ("colours", c_void_p),
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


class ReadArguments(Structure):
    """See matte.cu."""

    _fields_ = (
        ("output", c_void_p),
        ("offset", c_int),
        ("step", c_int),
        ("half", c_int),
        ("width", c_int),
        ("height", c_int),
        ("tolerance", c_float),
        ("mask", c_void_p),
        ("faults", c_void_p),
    )


class UnsureArguments(Structure):
    """See unsure.cu."""

    _fields_ = (
        ("mask", c_void_p),
        ("decided", c_void_p),
        ("colours", c_void_p),
        ("half", c_void_p),
        ("change", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("begins", c_float),
        ("rise", c_float),
        ("likeness", c_float),
        ("few", c_float),
        ("any", c_float),
        ("radius", c_int),
        ("little", c_float),
        ("scant", c_float),
        ("count", c_int),
        ("samples", c_byte * 2 * 64),
    )


class PartsArguments(Structure):
    """See matte.cu."""

    _fields_ = (
        ("mask", c_void_p),
        ("decided", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("low", c_float),
        ("sure", c_float),
        ("open", c_void_p),
        ("reached", c_void_p),
    )


class SteadyArguments(Structure):
    """See matte.cu."""

    _fields_ = (
        ("mask", c_void_p),
        ("guide", c_void_p),
        ("mask_before", c_void_p),
        ("guide_before", c_void_p),
        ("steady", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("least", c_float),
        ("noise", c_float),
        ("gain", c_float),
    )


class GuidedArguments(Structure):
    """See matte.cu."""

    _fields_ = (
        ("mask", c_void_p),
        ("guide", c_void_p),
        ("fit", c_void_p),
        ("smooth", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("radius", c_int),
        ("low", c_float),
        ("gain", c_float),
        ("epsilon", c_float),
    )


class DrawArguments(Structure):
    """See matte.cu."""

    _fields_ = (
        ("luma", Plane),
        ("smooth", c_void_p),
        ("alpha", c_void_p),
        ("bytes", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("pitch", c_int),
        ("grey", c_int),
    )


class CellsArguments(Structure):
    """See composite.cu."""

    _fields_ = (
        ("planes", Plane * 3),
        ("alpha", c_void_p),
        ("pitch", c_int),
        ("width", c_int),
        ("height", c_int),
        ("side", c_int),
        ("columns", c_int),
        ("rows", c_int),
        ("across", c_int),
        ("down", c_int),
        ("sure", c_float),
        ("share", c_void_p),
        ("means", c_void_p),
        ("mixed", c_void_p),
    )


class EdgesArguments(Structure):
    """See composite.cu."""

    _fields_ = (
        ("share", c_void_p),
        ("means", c_void_p),
        ("colours", c_void_p),
        ("columns", c_int),
        ("rows", c_int),
        ("sure", c_float),
    )


class BlendArguments(Structure):
    """See composite.cu."""

    _fields_ = (
        ("planes", Plane * 3),
        ("behind", Plane * 3),
        ("target", Plane * 3),
        ("small", c_void_p),
        ("small_width", c_int),
        ("small_height", c_int),
        ("alpha", c_void_p),
        ("pitch", c_int),
        ("width", c_int),
        ("height", c_int),
        ("side_shift", c_int),
        ("columns", c_int),
        ("rows", c_int),
        ("across", c_int),
        ("down", c_int),
        ("share", c_void_p),
        ("colours", c_void_p),
        ("mixed", c_void_p),
        ("most_mixed", c_int),
        ("cut", c_int),
        ("sure", c_float),
        ("sure_cell", c_float),
    )


class RoomArguments(Structure):
    """See room.cu."""

    _fields_ = (
        ("alpha", c_void_p),
        ("alpha_pitch", c_int),
        ("frame_width", c_int),
        ("frame_height", c_int),
        ("halvings", c_int),
        ("small_alpha", c_void_p),
        ("room", c_void_p),
        ("pictures", c_void_p),
        ("sums", c_void_p),
        ("means", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("near", c_int),
        ("mixed", c_float),
        ("reach", c_int),
        ("fill", c_int),
        ("last", c_int),
    )

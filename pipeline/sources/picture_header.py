"""What a picture's file says about it, read without decoding it.

Formats: PNG (ISO/IEC 15948), JPEG (ITU-T T.81), WebP (RFC 9649), BMP, TIFF 6.0 and BigTIFF.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MOST_PROFILE = 1 << 16
"""Bytes of a packed colour profile that are looked at; its name stands at the beginning."""


@dataclass(frozen=True)
class PictureHeader:
    """`profile` is the embedded colour profile (ICC), or its beginning; empty if there is none."""

    width: int
    height: int
    bits: int = 8
    alpha: bool = False
    profile: bytes = b""

    @property
    def standard_colours(self) -> bool:
        """Whether its colours are sRGB, as is assumed of pictures that do not say."""
        names = (b"sRGB", "sRGB".encode("utf-16-be"))
        return not self.profile or any(name in self.profile for name in names)


def read_header(data: bytes) -> PictureHeader | None:
    """The header of a file's bytes; None if it is no such picture, or torn."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"BM":
            return _bmp(data)
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(data)
    except (struct.error, IndexError, zlib.error, OverflowError):
        pass
    return None


def _png(data: bytes) -> PictureHeader:
    width, height, bits, kind = struct.unpack_from(">IIBB", data, 16)
    alpha, profile, place = kind in (4, 6), b"", 8
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if name in (b"IDAT", b"IEND"):
            break
        alpha = alpha or name == b"tRNS"
        if name == b"iCCP":
            called, _, packed = body.partition(b"\0")
            profile = called + zlib.decompressobj().decompress(packed[1:], MOST_PROFILE)
        elif name == b"sRGB":
            profile = b"sRGB"
        place += 12 + length
    return PictureHeader(width, height, bits, alpha, profile)


def _jpeg(data: bytes) -> PictureHeader | None:
    place, profile = 2, b""
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:  # padding, and markers without a body
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        body = data[place + 4 : place + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            bits, height, width = struct.unpack_from(">BHH", body)
            return PictureHeader(width, height, bits, False, profile)
        if marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            profile += body[14:]
        if marker == 0xDA:
            return None
        place += 2 + length
    return None


def _webp(data: bytes) -> PictureHeader | None:
    header, profile = None, b""
    for name, body in _riff(data):
        if name == b"VP8X":
            width = int.from_bytes(body[4:7], "little") + 1
            height = int.from_bytes(body[7:10], "little") + 1
            header = PictureHeader(width, height, 8, bool(body[0] & 0x10))
        elif name == b"ICCP":
            profile = body
        elif name == b"VP8 " and header is None:
            width, height = struct.unpack_from("<HH", body, 6)
            header = PictureHeader(width & 0x3FFF, height & 0x3FFF)
        elif name == b"VP8L" and header is None:
            (bits,) = struct.unpack_from("<I", body, 1)
            alpha = bool(bits >> 28 & 1)
            header = PictureHeader((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 8, alpha)
    if header and profile:
        return PictureHeader(header.width, header.height, 8, header.alpha, profile)
    return header


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        yield data[place : place + 4], data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _bmp(data: bytes) -> PictureHeader:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:  # of OS/2
        width, height = struct.unpack_from("<HH", data, 18)
        return PictureHeader(width, height)
    width, height, _, depth = struct.unpack_from("<iiHH", data, 18)
    alpha_mask = struct.unpack_from("<I", data, 66)[0] if size >= 56 else 0
    return PictureHeader(abs(width), abs(height), 8, depth == 32 and alpha_mask != 0)


def _tiff(data: bytes) -> PictureHeader | None:
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    # Number of entries; tag, type and count; where the value is or what it is.
    count, entry, value = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    (place,) = struct.unpack_from(order + value, data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + count, data, place)
    place += struct.calcsize(order + count)
    room = struct.calcsize(order + value)
    found: dict[int, list[int]] = {}
    profile = b""
    for _ in range(min(entries, 1000)):
        tag, kind, amount = struct.unpack_from(order + entry, data, place)
        place += struct.calcsize(order + entry)
        letter = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}.get(kind)
        if letter:
            fits = amount * struct.calcsize(letter) <= room
            at = place if fits else struct.unpack_from(order + value, data, place)[0]
            if tag == 34675:
                profile = data[at : at + amount]
            elif amount <= 16:
                found[tag] = list(struct.unpack_from(f"{order}{amount}{letter}", data, at))
        place += room
    if 256 not in found or 257 not in found:
        return None
    bits = max(found.get(258, [8]), default=8)
    alpha = any(extra in (1, 2) for extra in found.get(338, []))
    return PictureHeader(found[256][0], found[257][0], bits, alpha, profile)

"""Which encoder writes a file, and with what settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from seg_stream.pipeline.errors import UserError

PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip
"""From the quickest to the smallest file, as x264 names them."""


@dataclass(frozen=True)
class Codec:
    """A video codec: FFmpeg's encoder and how the general settings are said to it.

    `quality` is the default of its constant rate factor, 0 (best) to `worst`; None if it has none.
    `alpha` is its pixel format with transparency, `opaque` the only one it takes without.
    """

    encoder: str
    quality: int | None = None
    worst: int = 51
    options: dict[str, str] = field(default_factory=dict)
    alpha: str | None = None
    opaque: str | None = None
    speed: dict[str, str] = field(default_factory=dict)
    """Its own setting for each of `PRESETS` that it can tell apart; empty if it takes the names."""
    speed_option: str | None = "preset"
    tag: str | None = None
    """The four letters that players expect in .mp4 and .mov."""


def _levels(first: int, last: int) -> dict[str, str]:
    """Spread a numeric speed evenly over the presets."""
    steps = len(PRESETS) - 1
    return {name: str(round(first + (last - first) * i / steps)) for i, name in enumerate(PRESETS)}


CODECS = {
    # The pictures of these depend on the number of threads, and on the processor: the same
    # anywhere makes the same files. More of them than cores cost nothing.
    "h264": Codec("libx264", 20, options={"threads": "6", "x264-params": "cpu-independent=1"}),
    "h265": Codec(
        "libx265", 23, options={"x265-params": "log-level=error:frame-threads=3"}, tag="hvc1"
    ),
    "vp9": Codec(
        "libvpx-vp9", 32, 63, {"b": "0", "deadline": "realtime", "row-mt": "1"},
        alpha="yuva420p", speed=_levels(8, 0), speed_option="cpu-used",
    ),
    "av1": Codec("libsvtav1", 32, 63, opaque="yuv420p", speed=_levels(12, 2)),
    "prores": Codec(
        "prores_ks", options={"profile": "4444", "vendor": "apl0"},
        alpha="yuva444p10le", opaque="yuv444p10le", speed_option=None,
    ),
    "ffv1": Codec(
        "ffv1", options={"level": "3", "slices": "4", "slicecrc": "1"}, alpha="yuva444p",
        speed_option=None,
    ),
    "webp": Codec(
        "libwebp_anim", 75, 100, alpha="yuva420p", opaque="yuv420p", speed_option=None,
    ),
}  # fmt: skip

CONTAINERS: dict[str, tuple[str, ...]] = {
    ".mp4": ("h264", "h265", "av1", "vp9"),
    ".mov": ("h264", "h265", "prores"),
    ".mkv": ("h264", "h265", "vp9", "av1", "ffv1"),
    ".webm": ("vp9", "av1"),
    ".webp": ("webp",),
}
"""The codecs that each kind of file can hold, its default first."""

TRANSPARENT = {".mov": "prores", ".webm": "vp9", ".mkv": "ffv1", ".webp": "webp"}
"""The codec that keeps transparency in each kind of file that can."""


@dataclass(frozen=True)
class Encoding:
    """What the user asks of the encoder; None is the default.

    `quality` is the codec's constant rate factor (WebP: 0..100, higher is better), `bitrate` bits a
    second instead of it.
    """

    codec: str | None = None
    quality: int | None = None
    preset: str | None = None
    bitrate: int | None = None
    gpu: bool = False
    """Encode on the GPU, if that works here."""


@dataclass(frozen=True)
class Encoder:
    """The encoder that was chosen, by FFmpeg's names."""

    name: str
    options: dict[str, str]
    bitrate: int | None
    pixels: str | None
    """The pixel format to convert to; None takes frames as they are."""
    tag: str | None


def choose_encoder(path: Path, wanted: Encoding, *, transparent: bool = False) -> Encoder:
    """Find the encoder for an output file.

    Raises:
        UserError: the kind of file, the codec or a setting is unknown, or they do not go together.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UserError(
            f"{path}: the kind '{path.suffix}' is not known for video; expected "
            f"{', '.join(CONTAINERS)}."
        )
    if transparent and suffix not in TRANSPARENT:
        raise UserError(
            f"{path} cannot be transparent; name a {', '.join(TRANSPARENT)} file, or "
            "folder/%06d.png for pictures."
        )
    name = wanted.codec or (TRANSPARENT[suffix] if transparent else CONTAINERS[suffix][0])
    if name not in CODECS:
        raise UserError(f"The codec '{name}' is not known; choose one of {', '.join(CODECS)}.")
    if name not in CONTAINERS[suffix]:
        raise UserError(
            f"A {suffix} file cannot hold {name}; choose one of {', '.join(CONTAINERS[suffix])}."
        )
    codec = CODECS[name]
    if transparent and codec.alpha is None:
        raise UserError(
            f"The codec {name} has no transparency; leave --codec out to get "
            f"{TRANSPARENT[suffix]} in {suffix}."
        )
    options = dict(codec.options)
    _set_quality(name, codec, wanted, options)
    _set_speed(name, codec, wanted, options)
    if transparent and codec.encoder == "libvpx-vp9":
        options["auto-alt-ref"] = "0"  # alpha allows no hidden frames
    return Encoder(
        codec.encoder,
        options,
        wanted.bitrate,
        codec.alpha if transparent else codec.opaque,
        codec.tag if suffix in (".mp4", ".mov") else None,
    )


def _set_quality(name: str, codec: Codec, wanted: Encoding, options: dict[str, str]) -> None:
    if wanted.bitrate is not None:
        if wanted.quality is not None:
            raise UserError("Both --quality and --bitrate are given; choose one of them.")
        if codec.quality is None:
            raise UserError(f"{name} has no bit rate to choose; leave --bitrate out.")
        if wanted.bitrate < 1000:
            raise UserError(f"A bit rate of {wanted.bitrate} is too low; write it as 5M or 800k.")
        options.pop("b", None)
        return
    if codec.quality is None:
        if wanted.quality is not None:
            raise UserError(f"{name} has no quality to choose; leave --quality out.")
        return
    quality = codec.quality if wanted.quality is None else wanted.quality
    if not 0 <= quality <= codec.worst:
        raise UserError(f"The quality of {name} is 0 to {codec.worst}, but {quality} is given.")
    options["quality" if name == "webp" else "crf"] = str(quality)


def _set_speed(name: str, codec: Codec, wanted: Encoding, options: dict[str, str]) -> None:
    if wanted.preset is not None and wanted.preset not in PRESETS:
        raise UserError(
            f"The preset '{wanted.preset}' is not known; choose one of {', '.join(PRESETS)}."
        )
    if codec.speed_option is None:
        if wanted.preset is not None:
            raise UserError(f"{name} has no presets; leave --preset out.")
        return
    preset = wanted.preset or "veryfast"
    options[codec.speed_option] = codec.speed.get(preset, preset)


def parse_bitrate(text: str) -> int:
    """Turn `5M`, `800k` or a plain number into bits a second.

    Raises:
        UserError: the text is something else.
    """
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text if factor == 1 else text[:-1]
    try:
        return round(float(digits) * factor)
    except (ValueError, OverflowError):
        raise UserError(f"--bitrate {text} is not a bit rate; write it as 5M or 800k.") from None

"""NVIDIA's video units, NVENC and NVDEC, through FFmpeg: used where they work, said where not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sinks.encoding import PRESETS, Encoder, Encoding
from seg_stream.pipeline.sources.container import open_video

ENCODERS = {"libx264": "h264_nvenc", "libx265": "hevc_nvenc", "libsvtav1": "av1_nvenc"}

PROBE_SIDE = 256
"""Width and height of the picture with which an encoder is tried; some refuse smaller ones."""


def encoder_on_gpu(encoder: Encoder, wanted: Encoding) -> tuple[Encoder, list[str]]:
    """The GPU's encoder of the same codec, or the one given and a note why not.

    Preset and quality are NVENC's nearest: p1 to p7, and a constant quality of the same number.
    """
    name = ENCODERS.get(encoder.name)
    if name is None or encoder.pixels not in (None, "yuv420p"):
        return encoder, [f"The GPU has no encoder in the place of {encoder.name}; the CPU encodes."]
    try:
        probe = av.CodecContext.create(name, "w")
        if not isinstance(probe, av.VideoCodecContext):
            raise TypeError(f"{name} is not a video encoder")
        probe.width = probe.height = PROBE_SIDE
        probe.pix_fmt, probe.time_base = "yuv420p", Fraction(1, 25)
        probe.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return encoder, [f"{name} does not work here ({reason}); {encoder.name} encodes."]
    step = PRESETS.index(wanted.preset or "veryfast") * 6 // (len(PRESETS) - 1)
    options = {"preset": f"p{step + 1}"}
    if wanted.bitrate is None:
        options |= {"rc": "vbr", "cq": encoder.options.get("crf", "20"), "b": "0"}
    return replace(encoder, name=name, options=options, pixels="yuv420p"), []


def open_on_gpu(path: Path) -> tuple[av.container.InputContainer, list[str]]:
    """Open a video to be decoded by the GPU, or by the CPU with a note why.

    Raises:
        UserError: see `open_video`.
    """
    try:
        return open_video(path, HWAccel("cuda", allow_software_fallback=True)), []
    except UserError:
        container = open_video(path)
        return container, [f"{path} is decoded by the CPU: NVDEC does not work here."]

"""A camera that other programs can choose: v4l2loopback on Linux, OBS on macOS and Windows."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from seg_stream.pipeline.device_users import users
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import planes_of, to_bt601, to_picture
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.types import Image

if TYPE_CHECKING:
    import pyvirtualcam

LOOK_S = 1.0
"""How often it is looked up who has the camera open."""

MAKE_ONE = {
    "linux": "make one with `sudo modprobe v4l2loopback exclusive_caps=1 card_label=seg-stream` "
    "(Debian's package is v4l2loopback-dkms)",
    "darwin": "install OBS (`brew install --cask obs`) and start its camera once",
    "win32": "install OBS (`winget install OBSProject.OBSStudio`) and start its camera once",
}
"""What to do where there is none."""


class VirtualCameraSink(Sink):
    """Sends frames to a virtual camera, in its size from the first to the last.

    `watched` says whether another program has it open, as far as Linux tells; elsewhere it is
    always true.

    Args:
        width: of the frames; an odd one loses its last column.
        height: likewise.
        rate: nominal frames a second.
        device: the camera to use, say `/dev/video10`; the first one that is free by default.

    Raises:
        UserError: there is none, it is in use, or pyvirtualcam is not installed.
    """

    def __init__(
        self, width: int, height: int, rate: Fraction, *, device: str | None = None
    ) -> None:
        super().__init__()
        self._size = width - width % 2, height - height % 2
        self._camera: pyvirtualcam.Camera | None = _open(self._size, float(rate), device)
        self.device = self._camera.device
        self._looked_s = -LOOK_S
        self._can_look = Path("/proc/self/fd").is_dir() and Path(self.device).exists()

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if self._can_look and perf_counter() - self._looked_s >= LOOK_S:
            self._looked_s = perf_counter()
            self.watched = bool(users(Path(self.device)))
        if self._camera:
            self._camera.send(_i420(frame, *self._size))

    def finish(self) -> None:
        """Let the camera go."""
        if self._camera:
            self._camera.close()
        self._camera = None

    def discard(self) -> None:
        """Let the camera go."""
        self.finish()


def _open(size: tuple[int, int], rate: float, device: str | None) -> pyvirtualcam.Camera:
    try:
        import pyvirtualcam
    except ImportError:
        raise UserError(
            "A virtual camera needs pyvirtualcam; install it with pip install "
            "'seg-stream[virtualcam]'."
        ) from None
    try:
        return pyvirtualcam.Camera(*size, rate, fmt=pyvirtualcam.PixelFormat.I420, device=device)
    except RuntimeError as error:  # its only one; names the cause of every back end
        if device and Path(device).exists():
            raise UserError(
                f"The virtual camera {device} cannot be used ({_one_line(error)}); choose another "
                "or close the program that writes to it."
            ) from None
        make = MAKE_ONE.get(sys.platform, MAKE_ONE["linux"])
        which = f"no virtual camera {device}" if device else "no virtual camera that is free"
        raise UserError(f"There is {which}; {make}.") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _i420(frame: Frame, width: int, height: int) -> Image:
    """The frame as programs expect it of a camera: 4:2:0, BT.601, limited range, in one row."""
    picture = to_picture(frame)
    if (picture.width, picture.height) != (width, height) or picture.format.name != "yuv420p":
        picture = picture.reformat(width=width, height=height, format="yuv420p")
    planes = planes_of(to_bt601(picture, frame))
    return np.concatenate([np.ascontiguousarray(plane).reshape(-1) for plane in planes])

"""The cameras of this machine, and one of them found again under whatever number it has.

What is known without opening anything is in sysfs, which needs no udev.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from pathlib import Path

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.camera_mode import Mode
from seg_stream.pipeline.sources.v4l2 import Device

ROOT = Path("/")


@dataclass(frozen=True)
class Camera:
    """A camera that is plugged in.

    `identity` stays the same when it is plugged in again: maker, product, serial number and which
    of its pictures; `port` is where it is plugged in.
    """

    path: Path
    number: int
    name: str
    identity: str
    port: str
    usb_mbits_s: int | None = None

    def __str__(self) -> str:
        return f"camera {self.number} ({self.name})"


def cameras(root: Path = ROOT) -> list[Camera]:
    """All capture devices of this Linux machine, by their numbers; none elsewhere."""
    if sys.platform != "linux":
        return []
    found = []
    for entry in (root / "sys/class/video4linux").glob("video*"):
        number = entry.name.removeprefix("video")
        if not number.isdecimal():
            continue
        camera = _describe(entry, int(number), root)
        if _captures(camera.path):
            found.append(camera)
    return sorted(found, key=lambda camera: camera.number)


def modes(camera: Camera) -> list[Mode]:
    """What a camera offers; nothing if it cannot be asked."""
    try:
        with Device(camera.path) as device:
            return device.modes()
    except OSError:
        return []


def find(wanted: str, root: Path = ROOT) -> Camera:
    """The camera of a number, a path, or a part of its name.

    Raises:
        UserError: there is none, or several have such a name.
    """
    there = cameras(root)
    if wanted.isdecimal():
        matches = [camera for camera in there if camera.number == int(wanted)]
    elif "/" in wanted:
        path = Path(wanted).resolve()
        matches = [camera for camera in there if camera.path.resolve() == path]
    else:
        matches = [camera for camera in there if wanted.lower() in camera.name.lower()]
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(map(str, matches or there)) or "none"
    if matches:
        raise UserError(f"Several cameras are called '{wanted}' ({names}); give a number.")
    raise UserError(f"Camera {wanted} is not there (found {names}); see seg-stream --list-cameras.")


def find_again(lost: Camera, root: Path = ROOT) -> Camera:
    """The same camera, also under another number and in another port.

    Raises:
        UserError: it is not there.
    """
    same = [camera for camera in cameras(root) if camera.identity == lost.identity]
    if not same:
        raise UserError(f"{_capital(lost)} is not there; is it unplugged?")
    # Of two that are alike the one in the same port is meant.
    return min(same, key=lambda camera: (camera.port != lost.port, camera.number != lost.number))


def _captures(path: Path) -> bool:
    try:
        with Device(path) as device:
            return device.captures
    except PermissionError:
        return True  # it is there, and opening it will say so
    except OSError as error:
        return error.errno == errno.EBUSY


def _describe(entry: Path, number: int, root: Path) -> Camera:
    name = _read(entry / "name") or f"video{number}"
    index = _read(entry / "index")
    usb = _usb_device(entry)
    path = root / "dev" / entry.name
    if usb is None:
        return Camera(path, number, name, f"{name}:{index}", "")
    ids = [_read(usb / part) for part in ("idVendor", "idProduct", "serial")]
    speed = _read(usb / "speed")
    mbits_s = int(float(speed)) if speed.replace(".", "").isdecimal() else None
    return Camera(path, number, name, ":".join([*ids, index]), usb.name, mbits_s)


def _usb_device(entry: Path) -> Path | None:
    """The folder of the USB device that a camera is a part of."""
    try:
        place = (entry / "device").resolve(strict=True)
    except OSError:
        return None
    return next((p for p in (place, *place.parents) if (p / "idVendor").is_file()), None)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _capital(camera: Camera) -> str:
    text = str(camera)
    return text[0].upper() + text[1:]

"""Cameras, virtual cameras, the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

from seg_stream.pipeline.device_users import users
from seg_stream.pipeline.display import why_no_screen
from seg_stream.pipeline.doctor.finding import Finding, absent, right, wrong
from seg_stream.pipeline.sources.camera import HEIGHT, RATE, WIDTH
from seg_stream.pipeline.sources.camera_mode import Mode, choose, explain
from seg_stream.pipeline.sources.cameras import Camera, cameras, modes

ROOT = Path("/")
LOOPBACK = "sudo modprobe v4l2loopback exclusive_caps=1 card_label=seg-stream"


def check_cameras(root: Path = ROOT) -> list[Finding]:
    """Each camera with the mode that would be taken, or why it cannot be used."""
    if sys.platform != "linux":
        return [absent("camera", "can be listed on Linux only", "try seg-stream --camera 0")]
    found = [_check_camera(camera) for camera in cameras(root)]
    return found or [
        absent("camera", "there is none", "plug one in; a virtual machine has to be given it")
    ]


def _check_camera(camera: Camera) -> Finding:
    subject = f"camera {camera.number}"
    if not os.access(camera.path, os.R_OK | os.W_OK):
        return wrong(
            subject,
            f"{camera.name} may not be opened",
            f"sudo usermod -aG video $USER, then log in again ({camera.path})",
        )
    offered = modes(camera)
    best = choose(offered, WIDTH, HEIGHT, Fraction(RATE))
    if best is None:
        formats = ", ".join(sorted({mode.fourcc for mode in offered})) or "nothing"
        return wrong(subject, f"{camera.name} offers {formats} only", "use another camera")
    text = f"{camera.name}, {best}, of {len(offered)} modes"
    if names := users(camera.path):
        text += f"; in use by {', '.join(names)}"
    wanted = Mode(best.fourcc, WIDTH, HEIGHT, RATE)
    if poor := explain(camera.name, best, wanted, offered, camera.usb_mbits_s):
        return wrong(subject, f"{text}: {poor[0]}", "try another port, or another camera")
    return right(subject, text)


def check_virtual_camera(root: Path = ROOT, package: str = "pyvirtualcam") -> Finding:
    """Whether other programs can be shown the result as a camera."""
    subject = "virtual camera"
    if find_spec(package) is None:
        return absent(
            subject, f"{package} is not installed", "pip install 'seg-stream[virtualcam]'"
        )
    if sys.platform != "linux":
        return right(subject, "through OBS, which has to be installed and started once")
    module = root / "sys/module/v4l2loopback"
    if not module.is_dir():
        return absent(
            subject,
            "v4l2loopback is not loaded",
            f"apt install v4l2loopback-dkms, on Debian; then {LOOPBACK}",
        )
    devices = [
        entry.name for entry in sorted((root / "sys/devices/virtual/video4linux").glob("video*"))
    ]
    if not devices:
        return wrong(subject, "v4l2loopback is loaded but has no device", f"reload it: {LOOPBACK}")
    try:
        exclusive = (module / "parameters/exclusive_caps").read_text().strip()
    except OSError:
        exclusive = "Y"
    if not exclusive.startswith(("Y", "1")):
        return wrong(
            subject,
            f"{', '.join(devices)}, but Chrome does not see it (exclusive_caps is off)",
            f"sudo modprobe -r v4l2loopback, then {LOOPBACK}",
        )
    return right(subject, ", ".join(devices))


def check_display(environment: Mapping[str, str] = os.environ) -> Finding:
    """Whether the preview window can be opened."""
    why = why_no_screen(environment)
    if why:
        return absent("screen", f"no window can be opened: {why}", "run it in a desktop session")
    return right("screen", f"windows open on {environment.get('DISPLAY', 'this desktop')}")

"""A camera driver for the tests, where no kernel module can be loaded: see fake_v4l2.c."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

SOURCE = Path(__file__).with_name("fake_v4l2.c")
HEADER = Path("/usr/include/linux/videodev2.h")
COMPILER = shutil.which("cc")
USABLE = sys.platform == "linux" and COMPILER is not None and HEADER.is_file()
WHY_NOT = "needs Linux, a C compiler and the kernel's headers for the stand-in driver"


def compile_c(source: Path, target: Path, *options: str) -> Path:
    """Compile with the system's compiler."""
    assert COMPILER
    subprocess.run([COMPILER, "-O1", *options, "-o", target, source, "-ldl"], check=True)
    return target


class FakeDriver:
    """The folders of a machine with one USB camera, and the driver that answers for it."""

    def __init__(self, root: Path, library: Path) -> None:
        self.root, self._library = root, library
        (root / "dev").mkdir(parents=True)
        (root / "sys/class/video4linux").mkdir(parents=True)
        image = np.zeros((720, 1280, 3), np.uint8)
        image[:, :640] = (30, 160, 220)
        cv2.imwrite(str(root / "frame.jpg"), image)

    def plug(self, number: int = 0, port: str = "1-2", serial: str = "ABC") -> None:
        """Make the camera appear, with the second node that cameras have for metadata."""
        usb = self.root / "sys/devices/usb1" / port
        usb.mkdir(parents=True)
        ids = {"idVendor": "046d", "idProduct": "0825", "serial": serial, "speed": "480"}
        for name, value in ids.items():
            (usb / name).write_text(f"{value}\n")
        for index in (0, 1):
            node = usb / f"{port}:1.0/video4linux/video{number + index}"
            node.mkdir(parents=True)
            (node / "name").write_text("Fake Camera: Fake Camera\n")
            (node / "index").write_text(f"{index}\n")
            (node / "device").symlink_to("../..")
            (self.root / "sys/class/video4linux" / node.name).symlink_to(node)
            (self.root / "dev" / node.name).touch()

    def unplug(self) -> None:
        """Make it disappear, for those who have it open too."""
        self.set("unplugged")
        for path in [*(self.root / "sys/class/video4linux").iterdir(), *self.nodes()]:
            path.unlink()
        shutil.rmtree(self.root / "sys/devices")

    def nodes(self) -> list[Path]:
        return sorted((self.root / "dev").iterdir())

    def set(self, state: str, on: bool = True) -> None:
        """Make it misbehave, or stop that."""
        if on:
            (self.root / state).touch()
        else:
            (self.root / state).unlink()

    def start(self, code: str) -> subprocess.Popen[str]:
        """Run Python code in a process that has this driver; `ROOT` is its folder."""
        head = f"from pathlib import Path\nROOT = Path({str(self.root)!r})\n"
        return subprocess.Popen(
            [sys.executable, "-u", "-c", head + code],
            env={**os.environ, "LD_PRELOAD": str(self._library), "FAKE_V4L2": str(self.root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, code: str) -> list[str]:
        """Run Python code to its end; what it printed, line by line."""
        with self.start(code) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output.splitlines()

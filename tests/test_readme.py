"""What the README shows runs as it stands there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import hopping, read_video, write_video
from commands import run_command

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINES = re.findall(r"^    (seg-stream --input .*?)(?:\s+#.*)?$", TEXT, re.MULTILINE)

FILE = re.compile(r"[\w-]+\.(mp4|mkv|mov|webm|jpg|png)")

PRELUDE = """\
import numpy as np
frame_bgr = np.full((120, 160, 3), 128, np.uint8)
"""
"""What an example may take as given: a picture in the variable that is named after one."""


def make_sample(path: Path) -> None:
    """A file of the kind that the name says: a clip, a picture, or a folder of pictures."""
    if path.suffix in (".mp4", ".mkv", ".mov"):
        write_video(path, [hopping(i) for i in range(5)])
    elif path.suffix == ".webm":
        write_video(path, [hopping(i) for i in range(5)], codec="libvpx")
    elif path.suffix in (".jpg", ".png"):
        cv2.imwrite(str(path), np.full((90, 120, 3), (40, 120, 200), np.uint8))
    else:
        path.mkdir()
        make_sample(path / "one.jpg")
        make_sample(path / "two.png")


def names_in(block: str) -> tuple[set[str], set[str]]:
    """Names of files that an example reads and that it writes (second argument of `convert`)."""
    reads, writes = set[str](), set[str]()
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Constant) and FILE.fullmatch(str(node.value)):
            reads.add(str(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            writes |= {
                argument.value
                for argument in node.args[1:2]
                if node.func.id == "convert"
                and isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
            }
    return reads - writes, writes


def test_there_is_something_to_run() -> None:
    if not TEXT.strip():
        pytest.skip("the README is not written yet")
    assert BLOCKS, "the README shows no Python"
    assert LINES, "the README shows no command"


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_python_runs(block: str, tmp_path: Path) -> None:
    reads, writes = names_in(block)
    for name in reads:
        make_sample(tmp_path / name)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for name in writes:
        assert len(read_video(tmp_path / name)) == 5


@pytest.mark.parametrize("line", LINES)
def test_the_command_runs(line: str, tmp_path: Path) -> None:
    words = [word.strip("'\"") for word in line.split()][1:]
    values = dict(zip(words[::2], words[1::2], strict=True))
    make_sample(tmp_path / values["--input"].rstrip("/"))
    if re.search(r"\.\w+$", values.get("--bg", "")):
        make_sample(tmp_path / values["--bg"])
    result = run_command(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    output = tmp_path / values["--output"]
    if output.is_dir():
        assert {path.name for path in output.iterdir()} == {"one.jpg", "two.png"}
    else:
        assert len(read_video(output)) == 5

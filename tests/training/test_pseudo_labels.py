"""Photographs labelled with the shipped models, and what of masks counts."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg_stream.pipeline.sample import read_portrait, view
from seg_stream.training import pseudo_labels
from seg_stream.training.pairs import load_people
from seg_stream.training.pseudo_labels import NEAR, agreement, largest


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The astronaut, an empty wall, and a file that is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "astronaut.png"), view(read_portrait(), 0.25))
    cv2.imwrite(str(folder / "wall.jpg"), np.full((120, 160, 3), 200, np.uint8))
    (folder / "wall.jpg").rename(folder / "wall.JPG")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


def command(*arguments: object) -> int:
    return pseudo_labels.main([str(each) for each in arguments])


def test_it_writes_a_folder_of_pairs_in_which_doubts_are_suspect(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs"
    assert command(photos, out, "--teacher", "portrait-lite") == 0
    said = capsys.readouterr().out
    assert "1 photographs are labelled, 1 are suspect" in said
    assert "broken.jpg cannot be decoded" in said
    with (out / "index.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"astronaut", "wall"}
    assert (rows["astronaut"]["suspect"], rows["wall"]["suspect"]) == ("0", "1")
    assert float(rows["astronaut"]["agreement"]) > 0.9
    assert (out / "sheet.png").is_file()
    (person,) = load_people(out, rows["astronaut"]["split"]).portraits
    face, wall = person.alpha_hw[110:150, 250:320], person.alpha_hw[60:160, 420:480]
    assert face.min() > 230
    assert wall.max() < 25
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "photos"]


def test_accord_is_asked_for(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs"
    assert command(photos, out, "--teacher", "portrait-lite", "--least", 0.9999) == 2
    assert not (out / "sheet.png").exists()
    assert "None of the 3 photographs can be used" in capsys.readouterr().err
    assert (out / "index.csv").read_text().count(",1,") == 2


def test_mistakes_are_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ("--teacher", "portrait-lite")
    for arguments, sentence in [
        ((tmp_path / "none", tmp_path / "out", *teacher), "does not exist"),
        ((tmp_path, tmp_path / "out", *teacher), "has no .jpg or .png in it"),
        ((photos, photos, *teacher), "is there already"),
        ((photos, tmp_path / "no" / "out", *teacher), "cannot be made"),
        ((photos, tmp_path / "out", *teacher, "--least", 2), "expected a number from 0 to 1"),
        ((photos, tmp_path / "out", *teacher, "--least", "nan"), "expected a number from 0 to 1"),
        ((photos, tmp_path / "out", "--teacher", "nobody"), "nobody"),
        ((photos, tmp_path / "out", *teacher, "--descriptions", tmp_path / "no"), "check its path"),
        ((photos, tmp_path / "out", *teacher, "--descriptions", "o" * 300), "check its path"),
        ((photos, tmp_path / "out", "--teacher", "portrait"), "cannot contradict itself"),
    ]:
        assert command(*arguments) == 2, arguments
        assert sentence in capsys.readouterr().err
    assert command(photos, tmp_path / ("o" * 300), *teacher) == 2
    assert "too long" in capsys.readouterr().err
    broken = tmp_path / "broken"
    broken.mkdir()
    (photos / "broken.jpg").rename(broken / "broken.jpg")
    assert command(broken, tmp_path / "out", *teacher) == 2
    assert "No photograph in" in capsys.readouterr().err
    shutil.rmtree(broken)
    (photos / "wall.png").write_bytes((photos / "astronaut.png").read_bytes())
    assert command(photos, tmp_path / "out", *teacher) == 2
    assert "several pictures named wall" in capsys.readouterr().err
    (photos / "wall.png").rename(photos / "a\rb.png")
    assert command(photos, tmp_path / "out", *teacher) == 2
    assert "has a picture named 'a\\rb'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")
def test_ctrl_c_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    for number in range(60):
        (photos / f"copy{number}.png").write_bytes((photos / "astronaut.png").read_bytes())
    arguments = [str(photos), str(tmp_path / "out"), "--teacher", "portrait-lite"]
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; from seg_stream.training.pseudo_labels import main\n"
         f"print('ready', flush=True); sys.exit(main({arguments}))"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        while not list(tmp_path.glob(".out.*/masks/*.png")):
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; nothing was written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def masks(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Boxes of 1 (top, bottom, left, right) in a mask of 200 by 200."""
    mask = np.zeros((200, 200), np.float32)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def test_only_the_largest_person_and_what_is_near_counts() -> None:
    passer_by = (20, 60, 150, 160)
    alpha = masks((20, 180, 50, 100), passer_by)
    alpha[alpha == 0] = 0.2
    person, alone = largest(alpha)
    assert alone
    assert person[100, 99 + NEAR] == pytest.approx(0.2)
    assert person[100, 100 + NEAR] == 0
    assert person[30, 155] == 0
    assert not largest(masks((20, 180, 50, 100), (20, 100, 150, 190)))[1], "two people"
    nobody, alone = largest(masks())
    assert alone
    assert nobody.max() == 0


def test_agreement_is_that_of_the_upper_body_of_who_stands() -> None:
    standing = masks((20, 180, 80, 120))
    assert agreement(standing, standing) == 1
    assert agreement(standing, masks((20, 120, 80, 120))) == 1, "legs do not count"
    assert agreement(standing, masks((20, 180, 80, 120), (20, 180, 150, 190))) == 1
    assert agreement(standing, masks((20, 180, 80, 160))) == pytest.approx(0.5)
    assert agreement(standing, masks()) == 0
    seated = masks((60, 200, 40, 160))
    assert agreement(seated, masks((60, 130, 40, 160))) == pytest.approx(0.5), "all of it counts"
    assert agreement(masks(), masks()) == 0

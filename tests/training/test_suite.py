"""The evaluation's own frames, and the refusals of `seg-eval`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from seg_stream.engines.models import DEFAULT, find_model
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.errors import UserError
from seg_stream.training.evaluation.command import app
from seg_stream.training.evaluation.report import new_report, score_suite
from seg_stream.training.evaluation.scores import gap_filled
from seg_stream.training.evaluation.suite import photographed_suite, portrait_suite, predict
from tests.clips import hopping, write_video
from tests.training.data import draw_person, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_people_are_seen_where_they_were_photographed(data: Path) -> None:
    suite = photographed_suite(data)
    assert set(suite) == {"ccp"}
    for case in suite["ccp"]:
        blue, green, red = np.median(case.frame_bgr[case.alpha_hw == 0], axis=0)
        assert blue > green + 60 > red + 60, "the wall that they were drawn before"
    again = photographed_suite(data)["ccp"][0]
    assert np.array_equal(again.frame_bgr, suite["ccp"][0].frame_bgr)


def test_in_the_portrait_suite_they_are_elsewhere(data: Path) -> None:
    rooms = [
        np.median(case.frame_bgr[case.alpha_hw == 0], axis=0)
        for case in portrait_suite(data)["ccp"]
    ]
    assert not all(blue > green + 60 for blue, green, _ in rooms)


def test_gaps_between_arm_and_body_are_shown_and_scored(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "ccp", tmp_path / "ccp")
    with pytest.raises(UserError, match="shows a gap between arm and body"):
        photographed_suite(tmp_path, gaps=True)
    image, alpha = draw_person((110, 164), True, np.random.default_rng(1), arm=True)
    cv2.imwrite(str(tmp_path / "ccp" / "images" / "p3.jpg"), image)
    cv2.imwrite(str(tmp_path / "ccp" / "masks" / "p3.png"), alpha)
    cases = photographed_suite(tmp_path, gaps=True)["ccp"]
    report = tmp_path / "report.json"
    arguments = ["--data", str(tmp_path), "--split", "test", "--suite", "gaps"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(report)])
    assert result.exit_code == 0, result.output
    assert "gaps" in result.stdout
    scores = json.loads(report.read_text())["models"][0]["suite"]["ccp"]
    assert scores["gap_frames"] == scores["frames"] == len(cases)
    with open_engine("auto", DEFAULT) as engine:
        filled = [gap_filled(predict(engine, case.frame_bgr), case.alpha_hw) for case in cases]
    assert scores["gap_filled"] == pytest.approx(np.mean(filled), abs=0.05)


@pytest.mark.parametrize("name", ["[/red]", "../escaped"])
def test_a_models_name_is_text_and_no_path(data: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(find_model(DEFAULT), tmp_path / "mine.onnx")
    with open_engine("auto", DEFAULT) as engine:
        info = replace(engine.info, name=name)
    described = "\n".join(
        f"{key} = {json.dumps(value)}" for key, value in asdict(info).items() if value is not None
    )
    (tmp_path / "mine.toml").write_text(described)
    arguments = [str(tmp_path / "mine.onnx"), "--data", str(data), "--worst", str(tmp_path / "w")]
    result = CliRunner().invoke(app, [*arguments, "--descriptions", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert name in result.stdout
    assert len(list((tmp_path / "w").iterdir())) == 1


def test_models_of_the_same_name_are_told_apart(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "here").mkdir()
    models = ["../a/mine.onnx", "../a_mine.onnx"]
    monkeypatch.chdir(tmp_path / "here")
    for model in models:
        shutil.copy(find_model(DEFAULT), model)
    arguments = ["--data", str(data), "--json", "report.json", "--worst", "worst"]
    result = CliRunner().invoke(app, [*models, *arguments])
    assert result.exit_code == 0, result.output
    scored = json.loads(Path("report.json").read_text())["models"]
    assert [model["name"] for model in scored] == models
    sheets = sorted(path.name for path in Path("worst").iterdir())
    assert sheets == ["1-a_mine.onnx.png", "2-a_mine.onnx.png"]


def test_a_file_in_the_place_of_a_folder_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "worst").touch()
    result = CliRunner().invoke(app, ["--data", str(data), "--worst", str(tmp_path / "worst")])
    assert result.exit_code == 2
    assert "worst cannot be used (File exists); check it." in result.stderr


def test_a_sheet_that_cannot_be_written_is_named_before_anything_is_scored(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "1-portrait-lite.png").mkdir()
    result = CliRunner().invoke(app, ["--data", str(data), "--worst", str(tmp_path)])
    assert result.exit_code == 2
    assert "1-portrait-lite.png is a folder" in result.stderr
    assert len(list(tmp_path.iterdir())) == 1


def test_clips_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    clips = [tmp_path / folder / "clip.mp4" for folder in ("a", "b")]
    for clip in clips:
        clip.parent.mkdir()
        write_video(clip, [hopping(i) for i in range(3)])
    report = tmp_path / "report.json"
    arguments = [f"--video={clip}" for clip in clips]
    result = CliRunner().invoke(app, [*arguments, "--json", str(report)])
    assert result.exit_code == 0, result.output
    (scored,) = json.loads(report.read_text())["models"]
    assert list(scored["flicker"]) == [str(clip) for clip in clips]


def test_a_folder_with_the_name_of_all_parts_is_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "headshots").rename(tmp_path / "data" / "all")
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert "as all folders of pairs together are; give it another name" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes on Windows")
def test_a_pipe_is_not_replaced_by_the_figures(data: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = CliRunner().invoke(app, ["--data", str(data), "--json", str(tmp_path / "pipe")])
    assert result.exit_code == 2
    assert "is a device or a pipe" in result.stderr
    assert (tmp_path / "pipe").is_fifo()


def test_a_part_without_gaps_has_no_score_for_them(data: Path, tmp_path: Path) -> None:
    for name in ("ccp", "headshots", "backgrounds"):
        shutil.copytree(data / name, tmp_path / name)
    image, alpha = draw_person((110, 164), True, np.random.default_rng(1), arm=True)
    cv2.imwrite(str(tmp_path / "ccp" / "images" / "p3.jpg"), image)
    cv2.imwrite(str(tmp_path / "ccp" / "masks" / "p3.png"), alpha)
    suite = portrait_suite(tmp_path)
    framing_shows_it = photographed_suite(tmp_path, gaps=True)
    with open_engine("auto", DEFAULT) as engine:
        report = new_report(engine)
        score_suite(engine, {"headshots": suite["headshots"], **framing_shows_it}, report, None)
    assert report.suite["headshots"].gap_filled is None
    assert report.suite["all"].gap_filled == report.suite["ccp"].gap_filled is not None
    assert report.suite["all"].gap_frames == len(framing_shows_it["ccp"])


def test_photographs_without_anybody_whole_are_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "headshots", tmp_path / "headshots")
    with pytest.raises(UserError, match="shows somebody whole; choose another --suite"):
        photographed_suite(tmp_path)


def test_a_folder_without_pairs_of_the_split_is_named(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "ccp", tmp_path / "ccp")
    index = tmp_path / "ccp" / "index.csv"
    index.write_text(index.read_text().replace("test", "train"))
    arguments = ["--data", str(tmp_path), "--split", "test", "--suite", "photographed"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "no readable pair for the split 'test'" in result.stderr

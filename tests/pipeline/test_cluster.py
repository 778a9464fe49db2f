"""Over a real local Ray of two workers: the same bytes, also when one of them is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import psutil
import pytest
from clips import packets, read_video
from commands import run_command
from test_segments import GREEN, RATE, left_over, long_clip

from seg_stream.pipeline import convert
from seg_stream.pipeline.job import Job

ray = pytest.importorskip("ray", reason="needs the cluster extra (ray)")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of one machine with two workers."""
    folder = tmp_path_factory.mktemp("ray", numbered=True)
    context = ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=80_000_000,
        _temp_dir=f"/tmp/r{os.getpid()}" if len(str(folder)) > 60 else str(folder),
    )
    yield context.address_info["gcs_address"]
    ray.shutdown()


def workers() -> list[psutil.Process]:
    """The processes that do a piece right now."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "make_remote" in " ".join(process.info["cmdline"] or [])
    ]


def arguments(job: Job, address: str) -> list[str | Path]:
    return [
        "--input", job.input, "--output", job.output, "--bg", job.background,
        "--model", job.model, "--segment", str(job.segment_s), "--ray", address,
    ]  # fmt: skip


def here(job: Job) -> bytes:
    """The same on this machine alone."""
    output = job.output.with_name(f"here{job.output.suffix}")
    convert(job.input, output, background=job.background, model=job.model, segment_s=job.segment_s)
    return output.read_bytes()


def test_a_long_video_survives_the_death_of_a_worker(
    address: str, brightness_model: Path, tmp_path: Path
) -> None:
    clip = long_clip(tmp_path / "clip.mp4", 12)
    job = Job(clip, tmp_path / "out.mp4", GREEN, str(brightness_model), segment_s=2)
    killed: list[int] = []

    def kill() -> None:
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for process in workers()[:1]:
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    result = run_command(*arguments(job, address), cwd=tmp_path)
    killer.join()
    assert killed, "no worker was met at its work"
    assert (result.returncode, "on a cluster" in result.stderr) == (0, True), result.stderr
    assert job.output.read_bytes() == here(job)
    shown = read_video(job.output)
    assert [one.time_s for one in shown] == [Fraction(i, RATE) for i in range(12 * RATE)]
    assert packets(job.output, "audio") == packets(clip, "audio")
    assert left_over(tmp_path) == []


def test_many_short_files_go_to_the_workers(
    address: str, brightness_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.mkv", "c.mp4"):
        long_clip(folder / name, 2)
    (folder / "d.mp4").write_text("no video")
    job = Job(folder, tmp_path / "out", GREEN, str(brightness_model))
    result = run_command(*arguments(job, address), cwd=tmp_path)
    assert result.returncode == 2
    assert "3 converted, 1 failed" in result.stderr
    assert "d.mp4 is not a video" in result.stderr
    one = Job(folder / "a.mp4", tmp_path / "a.mp4", GREEN, str(brightness_model))
    assert (tmp_path / "out" / "a.mp4").read_bytes() == here(one)
    assert left_over(tmp_path / "out") == []


@pytest.mark.parametrize("wrong", ["127.0.0.1:1", "ray://127.0.0.1:1", "http://127.0.0.1:80", "x"])
def test_a_cluster_that_is_not_there_is_named(
    wrong: str, brightness_model: Path, tmp_path: Path
) -> None:
    job = Job(long_clip(tmp_path / "clip.mp4", 1), tmp_path / "o.mp4", GREEN, str(brightness_model))
    result = run_command(*arguments(job, wrong), cwd=tmp_path)
    assert result.returncode == 2
    assert f"There is no Ray cluster at {wrong}" in result.stderr
    assert "Traceback" not in result.stderr

"""A live source outlives its camera: the fake one stalls, breaks, changes and goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import av
import pytest

from seg_stream.benchmarks.fake_camera import FakeCamera, Mishap, read_number, serve
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.contract import NoPicture
from seg_stream.pipeline.sources.network import open_network
from seg_stream.pipeline.sources.reconnecting import LiveSource

pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")

SMALL = (320, 240)


def seen(source: LiveSource, for_s: float) -> Iterator[Frame | NoPicture]:
    """What a source gives in so many seconds."""
    end_s = time.perf_counter() + for_s
    while (left_s := end_s - time.perf_counter()) > 0:
        if (item := source.newest(left_s)) is not None:
            yield item


def numbers(items: list[Frame | NoPicture]) -> list[int | None]:
    return [read_number(item.planes[0]) for item in items if isinstance(item, Frame)]


def test_every_frame_arrives_once_with_the_time_it_was_taken() -> None:
    camera = FakeCamera(SMALL, 50, jitter_s=0.004)
    with LiveSource(camera.connect) as source:
        assert (source.width, source.height, source.rate, source.live) == (320, 240, 50, True)
        items = list(seen(source, 1.0))
    frames = [item for item in items if isinstance(item, Frame)]
    assert len(frames) == len(items) > 25
    for frame in frames:
        number = read_number(frame.planes[0])
        assert number is not None
        assert frame.captured_s == pytest.approx(camera.start_s + camera.taken_s(number))
    assert all(after.captured_s > before.captured_s for before, after in pairwise(frames))
    assert [frame.pts for frame in frames] == [
        pytest.approx(1e6 * (frame.captured_s - frames[0].captured_s), abs=2) for frame in frames
    ]
    assert source.health.frames == len(frames) + source.health.dropped
    assert frames[0].format == "yuv420p"
    assert frames[0].colour.full_range


def test_who_comes_late_gets_the_newest_frame_and_the_rest_is_counted() -> None:
    camera = FakeCamera(SMALL, 50)
    with LiveSource(camera.connect) as source:
        assert isinstance(source.newest(1), Frame)
        time.sleep(0.5)
        frame = source.newest(0)
        assert isinstance(frame, Frame)
        assert frame.index == source.health.dropped + 1 > 10
        assert source.newest(0) is None or source.health.frames > frame.index + 1


@pytest.mark.parametrize("kind", ["unplug", "busy", "stall"])
def test_a_lost_picture_is_said_once_and_comes_back(kind: str) -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0.4, kind, 0.6)])  # type: ignore[arg-type]
    with LiveSource(camera.connect) as source:
        items = list(seen(source, 2.0))
        assert source.absent is None
    gone = [index for index, item in enumerate(items) if isinstance(item, NoPicture)]
    assert gone
    assert len({item.reason for item in items if isinstance(item, NoPicture)}) == len(gone)
    after = numbers(items[gone[-1] :])
    assert after, "the picture did not come back"
    assert after == sorted(set(map(int, filter(None, after))))
    assert after[0] is not None
    assert camera.taken_s(after[0]) >= 1.0
    assert source.health.losses == (kind != "stall")
    assert 0.4 < source.health.absent_s < 1.9
    reasons = " ".join(item.reason for item in items if isinstance(item, NoPicture))
    expected = {"unplug": "is unplugged", "busy": "another program", "stall": "no picture"}
    assert expected[kind] in reasons
    assert any("gave no picture for" in note for note in source.notes)


def test_broken_pictures_are_left_out_and_counted() -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0.2, "corrupt", 0.2)])
    with LiveSource(camera.connect) as source:
        found = numbers(list(seen(source, 0.8)))
    assert not {10 < (number or 11) < 19 for number in found} - {False}
    assert source.health.damaged >= 5
    assert any("damaged pictures were left out" in note for note in source.notes)


@pytest.mark.parametrize("size", [(640, 480), (160, 90), (322, 242)])
def test_a_camera_that_changes_its_size_is_fitted_to_the_first(size: tuple[int, int]) -> None:
    camera = FakeCamera((320, 180), 50, [Mishap(0.3, "resize", size=size)])
    with LiveSource(camera.connect) as source:
        items = list(seen(source, 0.8))
    frames = [item for item in items if isinstance(item, Frame)]
    assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}
    assert {plane.shape for frame in frames for plane in frame.planes[1:]} == {(90, 160)}
    found = numbers(items)
    assert None not in found
    assert found[-1] is not None
    assert camera.taken_s(found[-1]) > 0.3
    assert source.health.resized > 0


def test_a_camera_that_is_not_there_at_the_start_is_an_error() -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0, "unplug", 9)])
    with pytest.raises(UserError, match="is unplugged"):
        LiveSource(camera.connect)


def test_an_iteration_ends_some_time_after_the_camera_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("seg_stream.pipeline.sources.reconnecting.PATIENCE_S", 0.3)
    camera = FakeCamera(SMALL, 50, [Mishap(0.2, "unplug", 99)])
    with LiveSource(camera.connect) as source:
        assert 0 < len(list(source)) <= 10
        assert "is unplugged" in source.notes[-1]


def test_an_error_of_the_reader_reaches_whoever_waits() -> None:
    class Broken(FakeCamera):
        def picture(self, number: int) -> av.VideoFrame:
            if number > 5:
                raise ZeroDivisionError("oops")
            return super().picture(number)

    camera = Broken(SMALL, 50)
    with LiveSource(camera.connect) as source, pytest.raises(SegStreamError, match="oops"):
        list(seen(source, 2))


def test_a_network_camera_is_read_lost_and_found_again() -> None:
    """The real way: MJPEG over HTTP, decoded by FFmpeg."""
    script = [Mishap(1.2, "unplug", 0.5), Mishap(0.6, "corrupt", 0.1)]
    camera = FakeCamera(SMALL, 25, script)
    with serve(camera) as url, LiveSource(lambda: open_network(url)) as source:
        assert (source.width, source.height) == SMALL
        assert "mjpeg" in source.mode
        items = list(seen(source, 3.0))
    frames = [item for item in items if isinstance(item, Frame)]
    assert source.health.damaged > 0
    found = [number for number in numbers(items) if number is not None]
    assert len(found) == len(frames)
    assert found == sorted(set(found))
    late_s = [
        frame.captured_s - camera.start_s - camera.taken_s(number)
        for frame, number in zip(frames, found, strict=True)
    ]
    assert min(late_s) >= 0
    assert any(camera.taken_s(number) >= 1.7 for number in found)
    assert any(isinstance(item, NoPicture) for item in items)
    assert frames[0].colour.matrix_tag == 5


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "cannot be read from 'file:'"),
        ("ftp://host/a", "cannot be read from 'ftp:'"),
        ("concat://a|b", "cannot be read from 'concat:'"),
        ("http:///path", "names no host"),
        ("http://[::1", "malformed"),
        ("rtsp://host:99999999/", "malformed"),
        ("http://ho st/", "names no host"),
    ],
)
def test_other_urls_are_refused(url: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        open_network(url)


def test_a_password_is_never_shown() -> None:
    """Nobody listens on this port; the message names the place and not who asks."""
    with pytest.raises(UserError) as caught:
        open_network("http://anna:geheim@127.0.0.1:9/video?key=topsecret#top")
    message = str(caught.value)
    assert "http://127.0.0.1:9/video cannot be opened" in message
    assert not [word for word in ("anna", "geheim", "topsecret") if word in message]

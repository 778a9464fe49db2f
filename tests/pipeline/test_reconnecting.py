"""A live source outlives its camera: the fake one stalls, breaks, changes and goes away."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from simulated import SimulatedClock

from seg_stream.benchmarks.fake_camera import FakeCamera, Mishap, read_number, serve
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.sources.contract import Feed, NoPicture
from seg_stream.pipeline.sources.network import open_network
from seg_stream.pipeline.sources.reconnecting import LiveSource

pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")

SMALL = (320, 240)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


def seen(source: LiveSource, for_s: float, clock: Clock) -> Iterator[Frame | NoPicture]:
    """What a source gives in so many seconds."""
    end_s = clock.now_s() + for_s
    while (left_s := end_s - clock.now_s()) > 0:
        if (item := source.newest(left_s)) is not None:
            yield item


def numbers(items: list[Frame | NoPicture]) -> list[int | None]:
    return [read_number(item.planes[0]) for item in items if isinstance(item, Frame)]


def test_every_frame_arrives_once_with_the_time_it_was_taken(clock: SimulatedClock) -> None:
    camera = FakeCamera(SMALL, 50, jitter_s=0.004, clock=clock)
    with LiveSource(camera.connect, clock=clock) as source:
        assert (source.width, source.height, source.rate) == (320, 240, 50)
        items = list(seen(source, 1.0, clock))
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


def test_who_comes_late_gets_the_newest_frame_and_the_rest_is_counted(
    clock: SimulatedClock,
) -> None:
    camera = FakeCamera(SMALL, 50, clock=clock)
    with LiveSource(camera.connect, clock=clock) as source:
        assert isinstance(source.newest(1), Frame)
        clock.sleep(0.5)
        frame = source.newest(0)
        assert isinstance(frame, Frame)
        assert frame.index == source.health.dropped + 1 > 10
        assert source.newest(0) is None or source.health.frames > frame.index + 1


@pytest.mark.parametrize("kind", ["unplug", "busy", "stall"])
def test_a_lost_picture_is_said_once_and_comes_back(kind: str, clock: SimulatedClock) -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0.4, kind, 0.6)], clock=clock)  # type: ignore[arg-type]
    with LiveSource(camera.connect, clock=clock) as source:
        items, times_s = [], []
        for item in seen(source, 2.0, clock):
            items.append(item)
            times_s.append(clock.now_s() - camera.start_s)
        assert source.absent is None
    gone = [index for index, item in enumerate(items) if isinstance(item, NoPicture)]
    assert gone
    assert len({item.reason for item in items if isinstance(item, NoPicture)}) == len(gone)
    after = numbers(items[gone[-1] :])
    assert after, "the picture did not come back"
    assert after == sorted(set(map(int, filter(None, after))))
    assert after[0] is not None
    assert times_s[gone[0]] <= 0.4 + (0.25 if kind == "stall" else 0.02)
    assert 1.0 <= camera.taken_s(after[0]) <= 1.5
    assert source.health.losses == (kind != "stall")
    assert 0.4 < source.health.absent_s < 1.9
    reasons = " ".join(item.reason for item in items if isinstance(item, NoPicture))
    expected = {"unplug": "is unplugged", "busy": "another program", "stall": "no picture"}
    assert expected[kind] in reasons
    assert any("gave no picture for" in note for note in source.notes)


def test_broken_pictures_are_left_out_and_counted(clock: SimulatedClock) -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0.2, "corrupt", 0.2)], clock=clock)
    with LiveSource(camera.connect, clock=clock) as source:
        found = numbers(list(seen(source, 0.8, clock)))
    assert found == [*range(10), *range(20, 40)]
    assert source.health.damaged == 10
    assert any("damaged pictures were left out" in note for note in source.notes)


@pytest.mark.parametrize("size", [(640, 480), (160, 90), (322, 242)])
def test_a_camera_that_changes_its_size_is_fitted_to_the_first(
    size: tuple[int, int], clock: SimulatedClock
) -> None:
    camera = FakeCamera((320, 180), 50, [Mishap(0.3, "resize", size=size)], clock=clock)
    with LiveSource(camera.connect, clock=clock) as source:
        items = list(seen(source, 0.8, clock))
    frames = [item for item in items if isinstance(item, Frame)]
    assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}
    assert {plane.shape for frame in frames for plane in frame.planes[1:]} == {(90, 160)}
    found = numbers(items)
    assert None not in found
    assert found[-1] is not None
    assert camera.taken_s(found[-1]) > 0.3
    assert source.health.resized > 0


@pytest.mark.parametrize(("rate", "slow"), [(15, True), (30, False)])
def test_a_camera_that_is_slower_than_it_says_is_told(
    rate: int, slow: bool, clock: SimulatedClock
) -> None:
    """As in poor light: 30 frames a second were negotiated."""

    class Dim(FakeCamera):
        def connect(self) -> Feed:
            feed = super().connect()
            feed.rate = Fraction(30)
            return feed

    camera = Dim(SMALL, rate, clock=clock)
    with LiveSource(camera.connect, clock=clock) as source:
        list(seen(source, 8, clock))
    assert any("gave 15.0 frames a second of 30" in note for note in source.notes) == slow
    assert len(source.notes) == slow


def test_a_camera_that_is_not_there_at_the_start_is_an_error(clock: SimulatedClock) -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0, "unplug", 9)], clock=clock)
    with pytest.raises(UserError, match="is unplugged"):
        LiveSource(camera.connect, clock=clock)


def test_an_iteration_ends_some_time_after_the_camera_is_gone(clock: SimulatedClock) -> None:
    camera = FakeCamera(SMALL, 50, [Mishap(0.2, "unplug", 99)], clock=clock)
    with LiveSource(camera.connect, clock=clock) as source:
        assert 0 < len(list(source)) <= 10
        assert "is unplugged" in source.notes[-1]


def test_an_error_of_the_reader_reaches_whoever_waits(clock: SimulatedClock) -> None:
    class Broken(FakeCamera):
        def picture(self, number: int) -> av.VideoFrame:
            if number > 5:
                raise ZeroDivisionError("oops")
            return super().picture(number)

    camera = Broken(SMALL, 50, clock=clock)
    with (
        LiveSource(camera.connect, clock=clock) as source,
        pytest.raises(SegStreamError, match="oops"),
    ):
        list(seen(source, 2, clock))


def test_a_network_camera_is_read_lost_and_found_again() -> None:
    """The real way: MJPEG over HTTP, decoded by FFmpeg."""
    script = [Mishap(1.2, "unplug", 0.5), Mishap(0.6, "corrupt", 0.1)]
    camera = FakeCamera(SMALL, 25, script)
    with serve(camera) as url, LiveSource(lambda: open_network(url)) as source:
        assert (source.width, source.height) == SMALL
        assert "mjpeg" in source.mode
        items = list(seen(source, 3.0, Clock()))
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

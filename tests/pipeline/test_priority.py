import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from clips import hopping
from frames import frame_of

from seg_stream.pipeline.sinks import priority
from seg_stream.pipeline.sinks.encoding import Encoding
from seg_stream.pipeline.sinks.video import VideoSink

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities are set on Linux")


@pytest.fixture
def own_priority() -> Iterator[None]:
    policy, given = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    os.sched_setscheduler(0, policy, given)


def policies() -> set[int]:
    """Of all threads that there are now."""
    found = set()
    for entry in priority.THREADS.iterdir():
        with suppress(ProcessLookupError):  # it has ended since
            found.add(os.sched_getscheduler(int(entry.name)))
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="SVT-AV1 may take real time as root alone")
@pytest.mark.usefixtures("own_priority")
def test_no_encoder_takes_real_time(tmp_path: Path) -> None:
    """SVT-AV1 gave it to all of its threads and the one that encodes, and nothing else ran."""
    sink = VideoSink(tmp_path / "out.mkv", Fraction(30), encoding=Encoding("av1"))
    before, threads = policies(), len(list(priority.THREADS.iterdir()))
    for i in range(3):
        sink.write(frame_of(hopping(i), "yuv420p", index=i))
    assert len(list(priority.THREADS.iterdir())) > threads, "it encodes in threads of its own"
    assert policies() == before
    sink.finish()
    assert policies() == before


@pytest.mark.usefixtures("own_priority")
def test_threads_that_begin_meanwhile_have_the_priority_of_before() -> None:
    """As the encoder's threads, which inherit what it takes."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    before = policies()
    try:
        with priority.usual_priority():
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            thread.start()
            assert thread.native_id is not None
            assert os.sched_getscheduler(thread.native_id) == os.SCHED_BATCH
        assert policies() == before
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("own_priority")
def test_a_priority_is_as_before_also_after_an_error_and_without_proc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = os.sched_getscheduler(0)
    monkeypatch.setattr(priority, "THREADS", tmp_path / "none")
    with pytest.raises(KeyError), priority.usual_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        raise KeyError
    assert os.sched_getscheduler(0) == policy


@pytest.mark.usefixtures("own_priority")
def test_threads_that_were_there_keep_theirs() -> None:
    begun, over = threading.Event(), threading.Event()

    def other() -> None:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        begun.set()
        over.wait()

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    try:
        with priority.usual_priority():
            pass
        assert os.SCHED_BATCH in policies()
    finally:
        over.set()
        thread.join()

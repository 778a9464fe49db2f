import os
import sys
import threading
from collections.abc import Iterator
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
    threads = [int(entry.name) for entry in priority.THREADS.iterdir()]
    return {os.sched_getscheduler(thread) for thread in threads}


@pytest.mark.skipif(os.geteuid() != 0, reason="SVT-AV1 may take real time as root alone")
@pytest.mark.usefixtures("own_priority")
def test_no_encoder_takes_real_time(tmp_path: Path) -> None:
    """SVT-AV1 gave it to all of its threads and the one that encodes, and nothing else ran."""
    sink = VideoSink(tmp_path / "out.mkv", Fraction(30), encoding=Encoding("av1"))
    threads = threading.active_count(), len(list(priority.THREADS.iterdir()))
    for i in range(3):
        sink.write(frame_of(hopping(i), "yuv420p", index=i))
    assert len(list(priority.THREADS.iterdir())) > threads[1], "it encodes in threads of its own"
    assert policies() == {os.SCHED_OTHER}
    sink.finish()
    assert policies() == {os.SCHED_OTHER}


@pytest.mark.usefixtures("own_priority")
def test_a_priority_is_as_before_also_after_an_error_and_without_proc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(priority, "THREADS", tmp_path / "none")
    with pytest.raises(KeyError), priority.usual_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        raise KeyError
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


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

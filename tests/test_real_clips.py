"""The main job on real recordings, where the shared data are beside the project."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from seg_stream.pipeline import convert

DATA = Path(__file__).parents[2] / "shared" / "data"
CLIPS = sorted((DATA / "clips").glob("*.*"))
ROOM = DATA / "backgrounds" / "interior_1.jpg"

pytestmark = pytest.mark.skipif(not CLIPS, reason="the real clips (../shared/data) are not here")


def decode(path: Path) -> tuple[list[float], list[np.ndarray], tuple[int, int], list[bytes]]:
    """Frame times, one grey picture in ten, the size, and the audio packets."""
    times, pictures = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for index, frame in enumerate(container.decode(stream)):
            times.append(0.0 if frame.time is None else frame.time)
            if index % 10 == 0:
                pictures.append(frame.to_ndarray(format="gray"))
        size = (stream.width, stream.height)
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(audio=0) if p.size] if (
            container.streams.audio
        ) else []  # fmt: skip
    return times, pictures, size, packets


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_a_real_clip_comes_out_whole(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    summary = convert(clip, output, background=str(ROOM))
    times_in, grey_in, size_in, audio_in = decode(clip)
    times_out, grey_out, size_out, audio_out = decode(output)
    assert summary.run.items == len(times_out) == len(times_in)
    assert size_out == size_in
    assert audio_out == audio_in
    assert not summary.notes
    if clip.suffix != ".264":  # raw streams have no times to keep
        # Matroska moves picture and sound together when sound begins before zero, as AAC does.
        steps = np.subtract(times_out, times_in)
        assert np.ptp(steps) < 0.002
        assert 0 <= steps[0] < 0.03
    # The room, at least, is another one.
    changed = [np.abs(a.astype(int) - b).mean() for a, b in zip(grey_in, grey_out, strict=True)]
    assert min(changed) > 8

"""A picture of what is put out, when the user asks for one."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, count
from pathlib import Path
from threading import Thread

from seg_stream.pipeline.channel import Channel, ChannelEnded
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.images import encode
from seg_stream.pipeline.sinks.part_file import PartFile


class SnapshotSink(Sink):
    """Keeps the next frame after each `Controls.request_snapshot` as a PNG file in a folder.

    A thread of its own writes it, so that the stream never waits; what came of it is said through
    the controls.

    Raises:
        UserError: the folder is not there.
    """

    def __init__(self, controls: Controls, folder: Path) -> None:
        super().__init__()
        if not folder.is_dir():
            raise UserError(f"The folder for snapshots {folder} does not exist; create it first.")
        self._controls, self._folder = controls, folder
        self._frames: Channel[Frame] = Channel(1, newest_only=True)
        self._thread = Thread(target=self._work, name="snapshot")
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if self._controls.take_snapshot_request():
            self._frames.put(frame)

    def _work(self) -> None:
        while True:
            try:
                frame = self._frames.get()
            except ChannelEnded:
                return
            try:
                self._controls.say(f"Saved {self._save(frame)}.")
            except OSError as error:
                self._controls.say(f"The snapshot could not be saved ({error.strerror}).")
            except UserError as error:
                self._controls.say(f"The snapshot could not be saved: {error}")

    def _save(self, frame: Frame) -> Path:
        part = PartFile(self._free_name(), overwrite=False)
        try:
            part.path.write_bytes(encode(frame, part.path))
            part.commit()
        except BaseException:
            part.discard()
            raise
        return part.target

    def _free_name(self) -> Path:
        stem = f"snapshot-{datetime.now():%Y%m%d-%H%M%S-%f}"[:-3]  # milliseconds
        names = (f"{stem}{end}.png" for end in chain([""], (f"_{i}" for i in count(2))))
        return next(path for name in names if not (path := self._folder / name).exists())

    def finish(self) -> None:
        """Write what is still on its way."""
        self._frames.end()
        self._thread.join()

    def discard(self) -> None:
        """The pictures that are whole stay."""
        self.finish()

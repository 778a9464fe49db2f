"""Picture files: one, or a folder of them under the source's names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sinks.part_file import PartFile, require_free


class ImageSink(Sink):
    """Writes frame `i` to `paths[i]`, each whole or not at all.

    Raises:
        UserError: a file exists and may not be replaced, or cannot be written.
    """

    def __init__(self, paths: Sequence[Path], *, overwrite: bool = False) -> None:
        super().__init__()
        self._paths, self._overwrite = paths, overwrite
        if not overwrite:
            for path in paths:
                require_free(path)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        path = self._paths[frame.index]
        part = PartFile(path, overwrite=self._overwrite)
        try:
            written, data = cv2.imencode(path.suffix, to_bgr(frame))
            if not written:
                raise UserError(f"{path} cannot be written as a {path.suffix} picture.")
            part.path.write_bytes(np.asarray(data).tobytes())  # tofile() is silent on a full disc
            part.commit()
        except OSError as error:
            part.discard()
            raise SegStreamError(
                f"{path} cannot be written to its end ({error.strerror})."
            ) from error
        except BaseException:
            part.discard()
            raise

    def finish(self) -> None:
        """Every picture is whole already."""

    def discard(self) -> None:
        """The pictures that are whole stay."""

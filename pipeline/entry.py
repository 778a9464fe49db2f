"""Where `seg-stream` begins: Ctrl-C ends it quietly while it is still being loaded."""

from __future__ import annotations

import gc
import os
import signal


def main() -> None:
    """Load the command, which takes a moment, and run it."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as for a program in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of half an import
    gc.disable()  # there is no garbage yet
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's, for which there is no work
    import cv2  # noqa: F401  # before PyAV: of the libxcb that both bring, Qt hangs with PyAV's

    from seg_stream.pipeline import command

    gc.freeze()  # what is loaded stays; collections need not look through it again and again
    gc.enable()
    signal.signal(signal.SIGINT, before)
    try:
        command.main()
    finally:
        gc.freeze()  # the process ends, and frees all that without looking through it once more


if __name__ == "__main__":
    main()

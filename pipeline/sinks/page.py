"""The web page: watch what is put out, and change settings, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_urlsafe

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.page.app import PageServer
from seg_stream.pipeline.page.guard import Guard, parse_address
from seg_stream.pipeline.sinks.contract import Sink


class PageSink(Sink):
    """Serves the page while it is open; writing a frame waits for no watcher.

    Beyond this machine (an address that is not loopback) only who knows the token gets anything.

    Args:
        where: `PORT` on this machine, or `HOST:PORT`.
        controls: what the page changes.
        status: a line of figures for the page, asked for once a second from another thread.

    Raises:
        UserError: the address is none or cannot be used, or aiohttp is not installed.
    """

    def __init__(
        self, where: str, controls: Controls, status: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__()
        address = parse_address(where)
        token = "" if address.loopback else token_urlsafe(24)
        self._server = PageServer(controls, status, Guard(address, token))
        self.url = self._server.address.url(token)
        """What to open; it holds the token, so show it to the user and write it nowhere."""

    @property
    def watched(self) -> bool:  # type: ignore[override]  # read only
        """Whether a browser shows the picture."""
        return self._server.watched

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        self._server.offer(frame)

    def finish(self) -> None:
        """Let every watcher go."""
        self._server.close()

    def discard(self) -> None:
        """Let every watcher go."""
        self._server.close()

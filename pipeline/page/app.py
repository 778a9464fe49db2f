"""The page's server: aiohttp in a thread of its own, around the guard, the feed and the actions."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.resources import files
from threading import Thread
from typing import TYPE_CHECKING, Any

from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.page import guard as guards
from seg_stream.pipeline.page.actions import Actions
from seg_stream.pipeline.page.feed import Feed, FeedEnded, wake

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATIC = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

MOST_WATCHERS = 8
"""Streams, and as many listeners for changes, at once."""

LARGEST_BODY = 4096
"""Bytes of a request."""

PATIENCE_S = 10.0
"""A watcher who takes nothing for so long is let go."""

SEND_BUFFER = 1 << 17
"""Bytes that the system may hold for a watcher: a picture or two, so that none grows old there."""

GRACE_S = 0.5
"""How long requests may take to end when the server does; aiohttp waits for it twice."""

BOUNDARY = "picture"


class PageServer(Closable):
    """Serves the page until it is closed.

    Args:
        controls: what the page changes.
        status: a line of figures.
        guard: who may use it; the address of port 0 becomes the one that was free.

    Raises:
        UserError: aiohttp is not installed, or the address cannot be used.
    """

    def __init__(self, controls: Controls, status: Callable[[], str], guard: guards.Guard) -> None:
        try:
            import aiohttp  # noqa: F401
        except ModuleNotFoundError:
            raise UserError(
                "The page needs aiohttp, which is not installed; run pip install "
                "'seg-stream[page]'."
            ) from None
        self._controls, self._guard = controls, guard
        self._actions = Actions(controls, status)
        self._cookie = "seg_stream"
        folder = files("seg_stream.pipeline.page") / "static"
        self._static = {
            path: ((folder / name).read_bytes(), kind) for path, (name, kind) in STATIC.items()
        }
        self._worker = ThreadPoolExecutor(1, "page-work")
        self._listeners = 0
        self._ready: Future[int] = Future()
        self._thread = Thread(target=self._run, name="page")
        self._thread.start()
        try:
            port = self._ready.result()
        except BaseException:
            self._join()
            raise
        self.address = guards.Address(guard.address.host, port)

    @property
    def watched(self) -> bool:
        """Whether somebody looks at the picture."""
        return self._feed.watchers > 0

    def offer(self, frame: Frame) -> None:
        """Show a frame; takes as long as its JPEG, and never waits for a watcher."""
        self._feed.offer(frame)

    def close(self) -> None:
        """End every request, then the threads; takes little more than twice `GRACE_S`."""
        wake(self._loop, self._stop.set)
        self._join()

    def _join(self) -> None:
        self._thread.join()
        # Only now, since requests hand it work until the loop has ended.
        self._worker.shutdown(cancel_futures=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        from aiohttp import web

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._feed = Feed(self._loop, self._worker)
        self._changed = asyncio.Event()
        self._sending: set[asyncio.Transport] = set()

        @web.middleware  # it marks a function, which a method cannot be
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._check(request, handler)

        app = web.Application(middlewares=[check], client_max_size=LARGEST_BODY)
        app.add_routes([web.get(path, self._file) for path in STATIC])
        app.add_routes(
            [
                web.get("/stream.mjpg", self._stream),
                web.get("/picture.jpg", self._picture),
                web.get("/thumbnail/{name}", self._thumbnail),
                web.get("/api/about", self._about),
                web.get("/api/events", self._events),
                web.post("/api/settings", self._do(self._actions.change)),
                web.post("/api/key", self._do(self._actions.press)),
            ]
        )
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=GRACE_S, handler_cancellation=True
        )
        await runner.setup()
        unlisten = self._controls.listen(lambda: wake(self._loop, self._tell))
        try:
            host, port = self._guard.address.host, self._guard.address.port
            site = web.TCPSite(runner, host, port)
            try:
                await site.start()
            except OSError as error:
                raise UserError(
                    f"The page cannot be served on {host}:{port} ({error.strerror or error}); "
                    "choose another port with --serve."
                ) from None
            bound = int(runner.addresses[0][1])
            self._cookie = f"seg_stream_{bound}"  # cookies know no ports
            self._ready.set_result(bound)
            await self._stop.wait()
        finally:
            unlisten()
            self._feed.end()
            self._tell()
            for transport in self._sending:  # they may take nothing for long
                transport.abort()
            await runner.cleanup()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the guard see every request, and put its headers on every answer."""
        from aiohttp import web

        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        in_address = request.query.get("token", "")
        token = in_address or request.cookies.get(self._cookie, "") or bearer
        refusal = self._guard.refuse(
            guards.Request(request.method, request.path, request.headers, token)
        )
        if refusal:
            answer: web.StreamResponse = _plain(refusal.status, refusal.why)
        else:
            try:
                answer = await handler(request)
            except UserError as error:
                answer = _plain(400, str(error))
            except web.HTTPException as error:  # unknown path, body too large
                answer = _plain(error.status, error.reason)
        if not answer.prepared:
            answer.headers.update(guards.HEADERS)
            if in_address and not refusal and self._guard.token:
                answer.set_cookie(self._cookie, token, httponly=True, samesite="Strict", path="/")
        return answer

    async def _file(self, request: web.Request) -> web.Response:
        from aiohttp import web

        body, kind = self._static[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _in_worker(self, call: Callable[[], Any]) -> Any:
        """Do what may read the disk beside the loop."""
        return await self._loop.run_in_executor(self._worker, call)

    async def _about(self, request: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response(await self._in_worker(self._actions.about))

    async def _thumbnail(self, request: web.Request) -> web.Response:
        from aiohttp import web

        name = request.match_info["name"]
        body = await self._in_worker(partial(self._actions.thumbnail, name))
        return web.Response(body=body, content_type="image/jpeg")

    def _do(
        self, action: Callable[[dict[str, Any]], None]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that reads a JSON object, acts on it, and answers with the new state."""

        async def handle(request: web.Request) -> web.Response:
            from aiohttp import web

            try:
                body = await request.json()
            except (ValueError, RecursionError):
                raise UserError("The request is no JSON.") from None
            if not isinstance(body, dict):
                raise UserError("The request is no JSON object.")
            await self._in_worker(partial(action, body))
            return web.json_response(self._actions.state())

        return handle

    async def _picture(self, request: web.Request) -> web.Response:
        """The newest picture alone."""
        from aiohttp import web

        with self._feed.watch() as number:
            try:
                picture = await asyncio.wait_for(self._feed.newer(number), 1)
            except (TimeoutError, FeedEnded):
                return _plain(503, "There is no picture yet.")
        return web.Response(body=picture.jpeg, content_type="image/jpeg")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """MJPEG: each watcher gets the newest picture whenever the last one is on its way.

        Players want to know a part's length before it. Browsers do not care for it but show a
        picture only when they see the next one's head, so the page gets that head early.
        """
        if self._feed.watchers >= MOST_WATCHERS:
            return _plain(503, f"{MOST_WATCHERS} are watching already.")
        connection: socket.socket | None = request.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        answer = _streamed(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        await answer.prepare(request)
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n".encode()
        early = "page" in request.query
        with self._feed.watch() as number, suppress(FeedEnded):
            if early:
                await answer.write(head + b"\r\n")
            while True:
                picture = await self._feed.newer(number)
                number, size = picture.number, len(picture.jpeg)
                if early:
                    part = b"%b\r\n%b\r\n" % (picture.jpeg, head)
                else:
                    part = b"%bContent-Length: %d\r\n\r\n%b\r\n" % (head, size, picture.jpeg)
                if not await self._sent(request, answer, part):
                    break
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The state as server-sent events: after each change, and once a second."""
        if self._listeners >= MOST_WATCHERS:
            return _plain(503, f"{MOST_WATCHERS} are watching already.")
        self._listeners += 1
        try:
            answer = _streamed("text/event-stream")
            await answer.prepare(request)
            await answer.write(b"retry: 1000\n\n")  # ms until a browser tries again
            while not self._stop.is_set():
                changed = self._changed
                line = f"data: {json.dumps(self._actions.state())}\n\n"
                if not await self._sent(request, answer, line.encode()):
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 1)
            return answer
        finally:
            self._listeners -= 1

    async def _sent(self, request: web.Request, answer: web.StreamResponse, data: bytes) -> bool:
        """Send, or let go of somebody who has gone or takes nothing."""
        transport = request.transport
        if transport is None:
            return False
        self._sending.add(transport)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await answer.write(data)
        except (ConnectionError, TimeoutError):
            transport.abort()
            return False
        finally:
            self._sending.discard(transport)
        return True


def _streamed(kind: str) -> web.StreamResponse:
    from aiohttp import web

    return web.StreamResponse(headers={**guards.HEADERS, "Content-Type": kind})


def _plain(status: int, text: str) -> web.Response:
    from aiohttp import web

    return web.Response(status=status, text=f"{text}\n")

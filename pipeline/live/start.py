"""Start a live session of what the user asked for, and end it well."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.onnxruntime_cpu import available_cores
from seg_stream.engines.select import EngineChoice
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.live.config import ConfigWatcher, read_config
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.keymap import press
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.session import LiveSession, LiveStatus
from seg_stream.pipeline.live.settings import LiveSettings, settings_of
from seg_stream.pipeline.live.snapshot import SnapshotSink
from seg_stream.pipeline.outputs import SinkOptions, open_sink
from seg_stream.pipeline.page.guard import parse_address
from seg_stream.pipeline.sinks.virtual_camera import VirtualCameraSink
from seg_stream.pipeline.sinks.window import WindowSink
from seg_stream.pipeline.sources.reconnecting import LiveSource
from seg_stream.pipeline.stream import one_opencv_thread

FIRST_DEVICE = "auto"
"""The name for whatever virtual camera is free."""


@dataclass(frozen=True)
class LiveOptions:
    """What the user asked for.

    `settings` are those given on the command line; they win over the file's. `virtual_camera` is a
    device or `auto`, `serve` a port or an address for the page.
    """

    model: str = DEFAULT
    engine: EngineChoice | str = "auto"
    settings: dict[str, object] = field(default_factory=dict)
    config: Path | None = None
    backgrounds: Path | None = None
    snapshots: Path | None = None
    preview: bool = True
    virtual_camera: str | None = None
    output: Path | None = None
    sinks: SinkOptions = field(default_factory=SinkOptions)
    serve: str | None = None
    duration_s: float | None = None
    fps_target: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UserError: a number or the page's address is none that can be, or there is no output.
        """
        for name, value in (("--duration", self.duration_s), ("--fps-target", self.fps_target)):
            if value is not None and not (0 < value < math.inf):
                raise UserError(f"{name} is {value:g}, expected a number above 0.")
        if self.serve is not None:
            parse_address(self.serve)
        if not (self.preview or self.virtual_camera or self.output or self.serve):
            raise UserError(
                "With --no-preview the picture goes nowhere; add --virtual-camera, --serve or "
                "--output."
            )


def run_live(
    open_source: Callable[[], LiveSource],
    options: LiveOptions,
    say: Callable[[str], None],
    stop: Event,
) -> LiveStatus:
    """Run a session until `stop` is set, the time is over, or the window is closed.

    Raises:
        UserError: something that was asked for is not there.
        SegStreamError: the source or the last output failed.
    """
    with ExitStack() as stack, one_opencv_thread():
        controls = _controls(options, say, stack)
        source = stack.enter_context(open_source())
        session = stack.enter_context(
            LiveSession(
                source,
                controls,
                model=options.model,
                engine=options.engine,
                threads=available_cores(),
                fps_target=options.fps_target,
                say=controls.say,
            )
        )
        for note in [*source.notes, *session.notes]:
            say(f"Note: {note}")
        status = session.status()
        say(f"{source.name}: {source.mode}; {status.engine}")
        _add_outputs(session, source, options, controls, say, stop)
        return session.run(stop=stop, duration_s=options.duration_s)


def _controls(options: LiveOptions, say: Callable[[str], None], stack: ExitStack) -> Controls:
    playlist = Playlist(options.backgrounds) if options.backgrounds else None
    if options.config is None:
        return Controls(settings_of(options.settings), playlist, say)
    values = read_config(options.config)
    controls = Controls(settings_of({**values, **options.settings}), playlist, say)
    without = settings_of({**dict(LiveSettings()), **options.settings})
    stack.enter_context(ConfigWatcher(options.config, values, without, controls))
    return controls


def _add_outputs(
    session: LiveSession,
    source: LiveSource,
    options: LiveOptions,
    controls: Controls,
    say: Callable[[str], None],
    stop: Event,
) -> None:
    size = source.width, source.height
    if options.virtual_camera:
        device = None if options.virtual_camera == FIRST_DEVICE else options.virtual_camera
        camera = VirtualCameraSink(*size, source.rate, device=device)
        session.add_output("virtual camera", camera)
        say(f"The virtual camera is {camera.device}.")
    if options.output:
        session.add_output(str(options.output), open_sink(source, options.output, options.sinks))
    if options.serve:
        from seg_stream.pipeline.sinks.page import PageSink

        page = PageSink(options.serve, controls, lambda: session.status().line())
        session.add_output("page", page)
        say(f"The page is at {page.url}")
    if options.preview:

        def pressed(char: str) -> None:
            if char == "i":
                for line in session.status().sentences():
                    say(line)
            else:
                press(char, controls)

        window = WindowSink(stop, pressed, lambda: f"seg-stream: {session.status().line()}")
        session.add_output("window", window, main_thread=True)
    snapshots = SnapshotSink(controls, options.snapshots or Path())
    session.add_output("snapshots", snapshots, aside=True)

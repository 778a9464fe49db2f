"""A small RTSP server (RFC 2326) that plays H.264 (RFC 6184) to one client, over TCP."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import av

from seg_stream.benchmarks.fake_camera import FakeCamera

SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=fake
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=control:track
"""


@contextmanager
def rtsp(camera: FakeCamera) -> Iterator[str]:
    """Serve the camera on loopback; gives the URL."""
    stop = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                with suppress(TimeoutError, OSError):
                    client, _ = server.accept()
                    with client:
                        _talk(client, camera, stop)

        thread = Thread(target=serve, name="rtsp")
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        finally:
            stop.set()
            thread.join()


def _talk(client: socket.socket, camera: FakeCamera, stop: Event) -> None:
    client.settimeout(5)
    lines = client.makefile("r", newline="\r\n")
    while request := lines.readline().strip():
        fields = {}
        while line := lines.readline().strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        method, body, more = request.split()[0], "", ""
        if method == "DESCRIBE":
            body = SDP.replace("\n", "\r\n")
            more = "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        head = f"RTSP/1.0 200 OK\r\nCSeq: {fields.get('cseq', '1')}\r\n{more}"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if method == "PLAY":
            _play(client, camera, stop)
            return


def _play(client: socket.socket, camera: FakeCamera, stop: Event) -> None:
    encoder: Any = av.CodecContext.create("libx264", "w")
    width, height = camera.size(0)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.framerate, encoder.gop_size, encoder.max_b_frames = camera.rate, 10, 0
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "qp": "10"}
    sequence, number = 0, round(camera.now_s() * camera.rate) + 1
    while not stop.wait(max(0.0, camera.taken_s(number) - camera.now_s())):
        if camera.suffers("unplug", camera.now_s()):
            return
        for packet in encoder.encode(camera.picture(number)):
            units = [unit for unit in bytes(packet).split(b"\0\0\1") if unit.strip(b"\0")]
            for index, unit in enumerate(units):
                last = 0x80 if index == len(units) - 1 else 0
                stamp = number * 90000 // camera.rate & 0xFFFFFFFF
                head = struct.pack(">BBHII", 0x80, 96 | last, sequence & 0xFFFF, stamp, 7)
                data = head + unit.rstrip(b"\0")
                client.sendall(struct.pack(">cBH", b"$", 0, len(data)) + data)
                sequence += 1
        number += 1

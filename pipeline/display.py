"""Whether windows can be opened, asked without Qt, which ends the process where they cannot.

The questions are those of the X Window System Protocol, chapter 8 (connection setup), and of
Xau(3) for the file with the keys.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

TIMEOUT_S = 2.0
COOKIE = b"MIT-MAGIC-COOKIE-1"

NAME = re.compile(r"(?:unix:)?(?P<host>.*):(?P<number>\d{1,5})(?:\.\d+)?")


def why_no_screen(environment: Mapping[str, str] = os.environ) -> str | None:
    """Why no window can be opened, as words for a sentence; None if one can.

    Elsewhere than on Linux there is always a screen.
    """
    if sys.platform != "linux":
        return None
    display = environment.get("DISPLAY")
    if not display:
        return "DISPLAY is not set"
    match = NAME.fullmatch(display)
    if not match:
        return f"DISPLAY is '{display}', expected something like :0"
    number = int(match["number"])
    try:
        with _connect(match["host"], number) as server:
            return _refusal(server, display, _cookies(environment, str(number)))
    except OSError:
        return f"no X server answers at DISPLAY {display}"


def _connect(host: str, number: int) -> socket.socket:
    if host:
        return socket.create_connection((host, 6000 + number), TIMEOUT_S)
    path = f"/tmp/.X11-unix/X{number}"
    try:
        return _unix(path)
    except OSError:
        return _unix("\0" + path)  # the abstract name, which a container may share


def _unix(path: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(TIMEOUT_S)
    try:
        server.connect(path)
    except BaseException:
        server.close()
        raise
    return server


def _refusal(server: socket.socket, display: str, cookies: list[bytes]) -> str | None:
    """Ask to be let in; why not, or None."""
    cookie = cookies[0] if cookies else b""
    name = COOKIE if cookie else b""
    hello = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie))
    server.sendall(hello + _padded(name) + _padded(cookie))
    answer = server.recv(8)
    if not answer:
        raise ConnectionError
    if answer[0] == 1:
        return None
    said = server.recv(answer[1] if len(answer) > 1 else 0) if answer[0] == 0 else b""
    why = said.decode("latin-1").strip().rstrip(".") or "no reason given"
    return f"the X server at DISPLAY {display} refuses ({why})"


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _cookies(environment: Mapping[str, str], number: str) -> list[bytes]:
    """The keys for a display in the user's file, those for this machine first."""
    home = environment.get("HOME", "")
    path = Path(environment.get("XAUTHORITY") or Path(home, ".Xauthority"))
    try:
        data = path.read_bytes()
    except OSError:
        return []
    host = socket.gethostname().encode()
    found = [
        (address != host, cookie)
        for address, display, name, cookie in _entries(data)
        if name == COOKIE and display in (b"", number.encode())
    ]
    return [cookie for _, cookie in sorted(found, key=lambda entry: entry[0])]


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Address, display number, name and key of each entry; a torn file ends early."""
    place = 0
    while place + 2 <= len(data):
        place += 2  # the family
        fields = []
        for _ in range(4):
            if place + 2 > len(data):
                return
            (length,) = struct.unpack_from(">H", data, place)
            fields.append(data[place + 2 : place + 2 + length])
            place += 2 + length
        yield fields[0], fields[1], fields[2], fields[3]

"""Talks HTTP to the page as it stands on the wire, without a browser's own carefulness."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(url: str, path: str = "/", body: object = None, method: str = "", **headers: str) -> Answer:
    """One request; `body` makes it a POST of JSON. Underscores in header names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = (
        body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    )
    if body is not None:
        named = {"Content-Type": "application/json", **named}
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=20)
    try:
        connection.request(
            method or ("POST" if body is not None else "GET"), path, data or None, named
        )
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def frame(value: int, width: int = 320, height: int = 180) -> Frame:
    """A grey picture."""
    planes = (np.full((height, width, 3), value, np.uint8),)
    return Frame(0, planes, "bgr24", Colour(), 0, Fraction(1, 1000), 0.0)


def grey(jpeg: bytes) -> int:
    """How bright a JPEG is."""
    return round(float(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean()))

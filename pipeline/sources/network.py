"""Cameras in the network: RTSP, and video or MJPEG over HTTP, through PyAV."""

from __future__ import annotations

from urllib.parse import urlsplit

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.av_feed import AvFeed

SCHEMES = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,srtp,udp,tcp,tls,crypto",
    "http": "http,tcp",
    "https": "https,http,tls,tcp,crypto",
}
"""What may be asked for, and what FFmpeg may open because of it: never a file."""

OPEN_S, READ_S = 5.0, 2.0
"""A server that is silent for so long is given up."""


def is_url(text: str) -> bool:
    """Whether a camera is named by a URL."""
    return "://" in text


def shown_url(url: str) -> str:
    """The URL without what may be secret: user, password, query and fragment.

    Raises:
        UserError: it is none that can be opened.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UserError("The camera's URL is malformed; write it as rtsp://HOST/PATH.") from None
    if parts.scheme.lower() not in SCHEMES:
        raise UserError(
            f"A camera cannot be read from '{parts.scheme}:'; expected {', '.join(SCHEMES)}."
        )
    if not host or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise UserError("The camera's URL names no host; write it as rtsp://HOST/PATH.")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{host}{f':{port}' if port else ''}{parts.path}"


def open_network(url: str) -> AvFeed:
    """Open a network camera; nothing is buffered, RTSP goes over TCP.

    Raises:
        UserError: the URL is none, or nobody answers there with video.
    """
    name = shown_url(url)
    scheme = urlsplit(url).scheme.lower()
    options = {
        "protocol_whitelist": SCHEMES[scheme],
        "fflags": "nobuffer",
        "probesize": "500000",
        "analyzeduration": "1000000",
    }
    if scheme.startswith("rtsp"):
        options |= {"rtsp_transport": "tcp", "timeout": str(round(READ_S * 1_000_000))}
    else:
        options |= {"rw_timeout": str(round(READ_S * 1_000_000))}
    return AvFeed(url, name, options=options, timeout_s=(OPEN_S, READ_S), hint="check the address")

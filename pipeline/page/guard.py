"""Who may use the page: plain values in, a reason for refusing out.

Three things have to hold. The request names a host that is ours, or another site could make its own
name point here (DNS rebinding). It does not come from another site's page, as the browser says in
`Sec-Fetch-Site` and `Origin`. And beyond this machine it carries the token.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from seg_stream.pipeline.errors import UserError

DEFAULT_HOST = "127.0.0.1"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "seg-stream",
}
"""Sent with every answer: nothing from elsewhere is loaded, nobody frames or embeds the page."""


@dataclass(frozen=True)
class Address:
    """Where the page is served."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def url(self, token: str = "") -> str:
        """What to open in a browser."""
        host = _reachable() if self.host in ("0.0.0.0", "::") else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={token}" if token else "")


def parse_address(text: str) -> Address:
    """Read `8080`, `HOST:8080` or `[IPV6]:8080`; port 0 takes one that is free.

    Raises:
        UserError: it is none of these.
    """
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else DEFAULT_HOST
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    bare_ipv6 = ":" in host and not text.strip().startswith("[")
    if not host or bare_ipv6 or not 0 <= number <= 65535:
        raise UserError(
            f"The address to serve on is '{text}', expected PORT or HOST:PORT, say 8080 or "
            "0.0.0.0:8080."
        )
    return Address(host, number)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Refusal:
    """An HTTP status and why."""

    status: int
    why: str


@dataclass(frozen=True)
class Request:
    """What the guard looks at; header names in any case."""

    method: str
    path: str
    headers: Mapping[str, str]
    token: str = ""
    """As given in the address, the cookie or the `Authorization` header."""


@dataclass(frozen=True)
class Guard:
    """Says of each request whether it may pass; an empty token means that none is asked for."""

    address: Address
    token: str = field(default="", repr=False)

    def refuse(self, request: Request) -> Refusal | None:
        """Why a request may not pass, or None."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        host = headers.get("host", "")
        if not self._is_ours(host):
            return Refusal(421, "This host name is not one of seg-stream's.")
        if request.method not in ("GET", "POST"):
            return Refusal(405, "Only GET and POST are known here.")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return Refusal(403, "Another site's page may not do this.")
        opened = request.method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        opened = opened and request.path == "/" and headers.get("sec-fetch-dest") == "document"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opened:
            return Refusal(403, "Another site's page may not do this.")
        if request.method == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return Refusal(415, "Only application/json is taken here.")
        if self.token and not same(request.token, self.token):
            return Refusal(
                401, "Open the address with the token that seg-stream printed at its start."
            )
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a `Host` header names this machine; a number cannot be made to point here."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if "@" in host or "/" in host or not name:
            return False
        if self.address.loopback:
            return is_loopback(name)
        try:
            ip_address(name)
        except ValueError:
            own = socket.gethostname().lower().partition(".")[0]
            return name in {"localhost", own, f"{own}.local", self.address.host.lower()}
        return True


def same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _reachable() -> str:
    """The address that others on the network most likely reach this machine by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, only asks for the route
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()

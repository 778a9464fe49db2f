"""Who gets anything from the page, asked over real connections."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest
from client import Answer, ask, frame, grey

from seg_stream.pipeline import UserError
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.playlist import Playlist
from seg_stream.pipeline.live.settings import LiveSettings, settings_of
from seg_stream.pipeline.page.guard import Address, parse_address
from seg_stream.pipeline.sinks.page import PageSink

pytest.importorskip("aiohttp", reason="needs the page extra (aiohttp)")
pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")

PATHS = ["/", "/page.js", "/page.css", "/icon.svg", "/stream.mjpg", "/picture.jpg"]
PATHS += ["/thumbnail/blur", "/api/about", "/api/events", "/none"]


@pytest.fixture
def controls() -> Controls:
    return Controls()


@pytest.fixture
def here(controls: Controls) -> Iterator[PageSink]:
    """A page for this machine alone."""
    with PageSink("0", controls, lambda: "30.0 fps") as sink:
        sink.write(frame(200))
        yield sink


@pytest.fixture
def everywhere(controls: Controls) -> Iterator[PageSink]:
    """A page for the network."""
    with PageSink("0.0.0.0:0", controls) as sink:
        sink.write(frame(200))
        yield sink


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", Address("127.0.0.1", 8080)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9000", Address("::1", 9000)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert address.loopback == (text != "0.0.0.0:80")


@pytest.mark.parametrize("text", ["", "x", "99999", "-1", ":80", "host:", "::1:80", "1.2.3.4", "٣"])
def test_another_address_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"expected PORT or HOST:PORT, say 8080"):
        parse_address(text)


def test_an_address_in_use_is_named(here: PageSink, controls: Controls) -> None:
    port = urlsplit(here.url).port
    with pytest.raises(UserError, match=rf"cannot be served on 127\.0\.0\.1:{port} .*--serve"):
        PageSink(str(port), controls)


def test_without_aiohttp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(UserError, match=r"pip install 'seg-stream\[page\]'"):
        PageSink("0", Controls())


def test_on_this_machine_the_address_is_enough(here: PageSink) -> None:
    assert here.url.startswith("http://127.0.0.1:")
    assert "token" not in here.url
    page = ask(here.url)
    assert page.status == 200
    assert b"<title>seg-stream" in page.body
    picture = ask(here.url, "/picture.jpg")
    assert grey(picture.body) == 200
    about = ask(here.url, "/api/about").json()
    assert about["settings"]["threshold"]["maximum"] == 0.9
    assert ask(here.url, "/none").status == 404


def test_every_answer_keeps_others_out(here: PageSink) -> None:
    for path in ("/", "/picture.jpg", "/api/about", "/none"):
        headers = ask(here.url, path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in headers["Server"]
        assert not [name for name in headers if name.lower().startswith("access-control")]


HOSTS = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"]
HOSTS += ["127.0.0.1@evil.example", "192.168.1.7:8080", "", "[::1", "localhost/evil", "0.0.0.0"]


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_name_gets_nothing(host: str, here: PageSink, controls: Controls) -> None:
    """DNS rebinding: a foreign name that resolves to this machine."""
    for path in PATHS:
        assert ask(here.url, path, Host=host).status in (400, 421), path
    answer = ask(here.url, "/api/settings", {"mirror": True}, Host=host)
    assert answer.status in (400, 421)
    assert not controls.current.mirror


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "127.9.9.9:80", "[::1]:7"]
)
def test_a_tunnel_of_the_users_own_is_let_through(host: str, here: PageSink) -> None:
    assert ask(here.url, "/api/about", Host=host).status == 200


FOREIGN: list[dict[str, str]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    {"Sec_Fetch_Site": "something new"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_sites_page_cannot_drive_it(
    headers: dict[str, str], here: PageSink, controls: Controls
) -> None:
    for path, body in (("/api/settings", {"mirror": True}), ("/api/key", {"key": "m"})):
        assert ask(here.url, path, body, **headers).status == 403
    assert controls.current == LiveSettings()
    for path in PATHS:
        assert ask(here.url, path, **headers).status == 403


def test_a_link_from_another_site_opens_the_page_but_does_nothing_else(here: PageSink) -> None:
    opened = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    opened["Sec_Fetch_Dest"] = "document"
    assert ask(here.url, "/", **opened).status == 200
    for path in PATHS[1:]:
        assert ask(here.url, path, **opened).status == 403
    assert ask(here.url, "/api/key", {"key": "m"}, **opened).status == 403


def test_its_own_page_may(here: PageSink, controls: Controls) -> None:
    own = {"Origin": here.url.rstrip("/"), "Sec_Fetch_Site": "same-origin"}
    answer = ask(here.url, "/api/settings", {"mirror": True, "threshold": 0.6}, **own)
    assert answer.status == 200
    assert answer.json()["settings"]["mirror"] is True
    assert (controls.current.mirror, controls.current.threshold) == (True, 0.6)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"mirror=true", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{", {}, 400),
        (b"[1]", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 4000, {}, 400),
        (b'{"mirror": 1}', {}, 400),
        (b'{"mirro": true}', {}, 400),
        (b'{"threshold": NaN}', {}, 400),
        (b'{"threshold": 1e999}', {}, 400),
        (b'{"background": "/etc/passwd"}', {}, 400),
        (b'{"background": "../x.png"}', {}, 400),
        (b'{"background": ["blur"]}', {}, 400),
        (b'{"background": "#12345"}', {}, 400),
        (b'{"background": "transparent"}', {}, 400),
        (b" " * 5000, {}, 413),
    ],
)
def test_what_is_not_understood_changes_nothing(
    body: bytes, headers: dict[str, str], status: int, here: PageSink, controls: Controls
) -> None:
    answer = ask(here.url, "/api/settings", body, **headers)
    assert answer.status == status
    assert len(answer.body) < 400
    assert controls.current == LiveSettings()


def test_only_get_and_post(here: PageSink) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "PATCH"):
        assert ask(here.url, "/api/settings", method=method).status == 405
    assert ask(here.url, "/api/settings").status == 405
    assert ask(here.url, "/", {}).status == 405


def token_of(sink: PageSink) -> str:
    return urlsplit(sink.url).query.removeprefix("token=")


def test_beyond_this_machine_a_wrong_token_gets_nothing(
    everywhere: PageSink, controls: Controls
) -> None:
    token = token_of(everywhere)
    assert len(token) == 32
    cookie = f"seg_stream_{urlsplit(everywhere.url).port}"

    def nothing(answer: Answer) -> None:
        assert answer.status == 401
        assert len(answer.body) < 100
        assert "Set-Cookie" not in answer.headers

    for wrong in ("", token[:-1], token + "x", token.swapcase(), "%00", "%FF", "é"):
        for path in PATHS:
            nothing(ask(everywhere.url, f"{path}?token={quote(wrong, safe='%')}"))
            nothing(ask(everywhere.url, path, Cookie=f"{cookie}={wrong}"))
            nothing(ask(everywhere.url, path, Authorization=f"Bearer {wrong}"))
    nothing(ask(everywhere.url, "/api/settings", {"mirror": True}))
    nothing(ask(everywhere.url, f"/api/settings?token={token}x", {"mirror": True}))
    nothing(ask(everywhere.url, "/?token=x", Cookie=f"{cookie}={token}"))
    assert controls.current == LiveSettings()


def test_the_token_opens_the_page_and_stays_as_a_cookie(
    everywhere: PageSink, controls: Controls
) -> None:
    token = token_of(everywhere)
    page = ask(everywhere.url, f"/?token={token}")
    assert page.status == 200
    cookie, *rules = page.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(rules)
    assert ask(everywhere.url, "/picture.jpg", Cookie=cookie).status == 200
    assert ask(everywhere.url, "/picture.jpg", Authorization=f"Bearer {token}").status == 200
    assert ask(everywhere.url, "/api/key", {"key": "m"}, Cookie=cookie).status == 200
    assert controls.current.mirror
    foreign = ask(everywhere.url, "/api/key", {"key": "m"}, Cookie=cookie, Origin="http://e.com")
    assert foreign.status == 403
    assert ask(everywhere.url, "/", Cookie=cookie, Host="evil.example").status == 421
    assert ask(everywhere.url, "/", Cookie=cookie, Host="192.168.1.7:8080").status == 200
    assert controls.current.mirror


def test_two_pages_have_two_tokens(everywhere: PageSink) -> None:
    with PageSink("0.0.0.0:0", Controls()) as other:
        assert token_of(other) != token_of(everywhere)
        assert ask(other.url, f"/?token={token_of(everywhere)}").status == 401


def test_no_path_leaves_the_machine(tmp_path: Path) -> None:
    for name, value in (("my_beach.png", 90), ("alps.jpg", 30)):
        cv2.imwrite(str(tmp_path / name), np.full((90, 160, 3), value, np.uint8))
    secret = tmp_path.parent / "secret.png"
    cv2.imwrite(str(secret), np.full((90, 160, 3), 200, np.uint8))
    controls = Controls(settings_of({"background": "#00b140"}), Playlist(tmp_path))
    with PageSink("0", controls) as sink:
        answer = ask(sink.url, "/api/about")
        assert str(tmp_path.name).encode() not in answer.body
        listed = {each["label"]: each["name"] for each in answer.json()["backgrounds"]}
        assert list(listed) == ["#00b140", "alps", "my beach", "Blurred room"]
        thumbnail = ask(sink.url, f"/thumbnail/{listed['my beach']}")
        assert grey(thumbnail.body) == 90
        for name in ("blur", "x", "..%2f..%2fetc%2fpasswd", "%2e%2e", secret.name):
            assert ask(sink.url, f"/thumbnail/{name}").status in (400, 404)
        changed = ask(sink.url, "/api/settings", {"background": listed["alps"]})
        assert controls.current.background == str(tmp_path / "alps.jpg")
        assert changed.json()["settings"]["background"] == listed["alps"]
        (tmp_path / "new.png").write_bytes((tmp_path / "my_beach.png").read_bytes())
        labels = [each["label"] for each in ask(sink.url, "/api/about").json()["backgrounds"]]
        assert "new" in labels
        controls.change(background=str(secret))  # as the settings file may
        listed = {
            each["label"]: each["name"]
            for each in ask(sink.url, "/api/about").json()["backgrounds"]
        }
        assert grey(ask(sink.url, f"/thumbnail/{listed['secret']}").body) == 200

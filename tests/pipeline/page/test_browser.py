"""The page in a real browser: Chromium without a window, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from client import ask, frame
from studio import Studio, studio

from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.settings import LiveSettings
from seg_stream.pipeline.sinks.page import PageSink

pytest.importorskip("aiohttp", reason="needs the page extra (aiohttp)")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright to drive a browser")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)"),
    pytest.mark.usefixtures("no_thread_outlives_its_run"),
]

REBOUND = "rebound.example"
"""A name that the browser believes to be this machine's."""

COLOUR = """async ([x, y]) => {
    const picture = document.getElementById("picture");
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
    canvas.getContext("2d").drawImage(picture, 0, 0, 64, 36);
    return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
}"""
"""What the user sees of the stream at a place of 64x36."""

SWITCH = """async ([name, wanted]) => {
    const picture = document.getElementById("picture");
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const begin = performance.now();
    document.querySelector(`input[value="${name}"]`).click();
    while (performance.now() - begin < 15000) {
        context.drawImage(picture, 0, 0, 64, 36);
        const seen = context.getImageData(2, 2, 1, 1).data;
        if (wanted.every((value, i) => Math.abs(value - seen[i]) < 40)) {
            return performance.now() - begin;
        }
        await new Promise(requestAnimationFrame);
    }
    return 1e9;
}"""
"""Choose a background and wait until it is seen; returns the milliseconds."""

GREEN, RED, BLUE = (0, 177, 64), (200, 30, 30), (30, 30, 200)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = [f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # it refuses to run as root with it
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page of its own, without cookies; what goes wrong in it is collected in `wrong`."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    tab = context.new_page()
    tab.wrong = []
    tab.on("console", lambda m: tab.wrong.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: tab.wrong.append(str(error)))
    yield tab
    context.close()


def furnish(rooms: Path) -> None:
    for name, rgb in (("red_room.png", RED), ("blue-room.jpg", BLUE)):
        cv2.imwrite(str(rooms / name), np.full((90, 160, 3), rgb[::-1], np.uint8))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, brightness_model: Path) -> Iterator[Studio]:
    """One for all tests: it takes seconds to start."""
    rooms = tmp_path_factory.mktemp("live") / "rooms"
    rooms.mkdir()
    furnish(rooms)
    with studio(brightness_model, rooms) as running:
        yield running


@pytest.fixture
def live(program: Studio) -> Studio:
    """The program with the settings that it started with."""
    furnish(program.folder / "rooms")
    first = {**LiveSettings().model_dump(), "background": "#00b140", "steadiness": 0.5}
    assert ask(program.url, "/api/settings", first).status == 200
    return program


def opened(tab: Any, url: str) -> Any:
    """The page, with its picture and its buttons there: keys do nothing before."""
    tab.goto(url)
    until(tab, lambda: tab.evaluate("document.getElementById('picture').naturalWidth > 0"))
    tab.wait_for_selector("button[aria-pressed]")
    return tab


def until(tab: Any, true: Callable[[], bool]) -> None:
    """Let the browser go on until something holds here."""
    for _ in range(200):
        if true():
            return
        tab.wait_for_timeout(50)
    raise AssertionError("it did not come")


def near(tab: Any, place: tuple[int, int], rgb: tuple[int, int, int]) -> bool:
    seen = tab.evaluate(COLOUR, list(place))
    return all(abs(one - other) < 40 for one, other in zip(seen, rgb, strict=True))


def test_the_stream_plays_and_a_background_switch_shows_within_half_a_second(
    tab: Any, live: Studio
) -> None:
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    opened(tab, live.url)
    until(tab, lambda: near(tab, (2, 2), GREEN))
    assert not near(tab, (32, 30), GREEN), "the person is not there"
    sweep = {
        tuple(tab.evaluate(COLOUR, [32, 30])) for _ in range(40) if not tab.wait_for_timeout(50)
    }
    assert len(sweep) > 3, "the picture stands still"
    names = tab.eval_on_selector_all("#backgrounds .words", "all => all.map(x => x.textContent)")
    assert names == ["#00b140", "blue room", "red room", "Blurred room", "Colour …"]
    red, blue = (tab.locator(f'label[title="{name} room"] input') for name in ("red", "blue"))
    times_ms = [
        tab.evaluate(SWITCH, [radio.get_attribute("value"), rgb])
        for radio, rgb in ((red, RED), (blue, BLUE), (red, RED))
    ]
    assert min(times_ms) < 500, times_ms
    assert red.is_checked()
    until(tab, lambda: "fps" in tab.inner_text("#status"))
    assert {urlsplit(url).netloc for url in requests} == {urlsplit(live.url).netloc}
    assert not tab.wrong


def test_everything_can_be_done_from_the_keyboard(tab: Any, live: Studio) -> None:
    opened(tab, live.url)
    tab.keyboard.press("m")
    tab.wait_for_selector('button[aria-pressed="true"]:has-text("Mirror")')
    tab.get_by_role("button", name="Mask").focus()
    tab.keyboard.press("Enter")
    until(tab, lambda: near(tab, (2, 2), (0, 0, 0)) and near(tab, (32, 30), (255, 255, 255)))
    tab.keyboard.press("v")
    tab.get_by_role("slider", name="Steadiness").focus()
    tab.keyboard.press("Home")
    until(tab, lambda: live.settings()["steadiness"] == 0)
    tab.get_by_role("radio", name="#00b140").focus()
    tab.keyboard.press("ArrowRight")
    until(tab, lambda: near(tab, (2, 2), BLUE))
    tab.keyboard.press("n")
    until(tab, lambda: near(tab, (2, 2), RED))
    tab.keyboard.press("p")
    tab.wait_for_selector("#badge:visible")
    tab.keyboard.press("p")
    tab.wait_for_selector("#badge", state="hidden")
    tab.keyboard.press("?")
    assert "next background" in tab.inner_text("dialog")
    tab.keyboard.press("Escape")
    tab.keyboard.press("c")
    until(tab, lambda: tab.inner_text("#notice").startswith("Saved "))
    assert len(list(live.folder.glob("snapshot-*.png"))) == 1
    assert not tab.wrong


def test_any_colour_can_be_chosen_and_is_shown_as_chosen(tab: Any, live: Studio) -> None:
    opened(tab, live.url)
    tab.locator('label[title="Any colour"] input').fill("#1e1ec8")
    until(tab, lambda: near(tab, (2, 2), BLUE))
    tab.wait_for_selector('label.on[title="Any colour"]')
    assert tab.locator("input[type=radio]:checked").count() == 0
    tab.locator('label[title="#00b140"]').click()
    until(tab, lambda: near(tab, (2, 2), GREEN))
    assert tab.locator("label.on").count() == 0
    assert not tab.wrong


def test_what_was_refused_is_said_and_shown_as_it_is(tab: Any, live: Studio) -> None:
    opened(tab, live.url)
    (live.folder / "rooms" / "red_room.png").unlink()
    tab.locator('label[title="red room"]').click()
    until(tab, lambda: "does not exist" in tab.inner_text("#notice"))
    until(tab, tab.get_by_role("radio", name="#00b140").is_checked)
    assert near(tab, (2, 2), GREEN)


def test_an_edit_of_the_settings_file_is_seen_on_the_page(tab: Any, live: Studio) -> None:
    opened(tab, live.url)
    config = live.folder / "live.toml"
    assert tab.get_by_role("slider", name="Steadiness").input_value() == "0.5"
    config.write_text("steadiness = 0.25\nmirror = true\n")
    tab.wait_for_selector('button[aria-pressed="true"]:has-text("Mirror")')
    assert tab.get_by_role("slider", name="Steadiness").input_value() == "0.25"
    config.write_text("steadyness = 1\n")
    until(tab, lambda: "did you mean steadiness?" in tab.inner_text("#notice"))
    assert "did you mean steadiness?" in live.said()
    assert tab.get_by_role("slider", name="Steadiness").input_value() == "0.25"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (820, 1180), (1600, 900)], ids=str)
def test_it_fits_every_screen(size: tuple[int, int], scheme: str, browser: Any) -> None:
    with PageSink("0", Controls(), lambda: "30.0 fps, 31 ms to the output (p95 44)") as sink:
        sink.write(frame(150, 1280, 720))
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        tab = opened(context.new_page(), sink.url)
        tab.wait_for_selector("input[type=range]")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = tab.locator("#picture").bounding_box()
        assert box["width"] > 0.55 * size[0]
        assert box["y"] + box["height"] < size[1], "the picture is not on the first screen"
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) > 384) == (scheme == "light")
        context.close()


def test_a_page_that_is_not_seen_takes_no_pictures(tab: Any) -> None:
    with PageSink("0", Controls()) as sink:
        sink.write(frame(90))
        opened(tab, sink.url)
        assert sink.watched
        tab.goto("about:blank")
        until(tab, lambda: not sink.watched)
        tab.go_back()
        until(tab, lambda: sink.watched)


def test_a_page_that_stays_open_goes_on_when_the_program_is_back(tab: Any) -> None:
    with PageSink("0", Controls()) as sink:
        sink.write(frame(60))
        opened(tab, sink.url)
    tab.wait_for_selector("#badge:has-text('does not answer')")
    with PageSink(str(urlsplit(sink.url).port), Controls()) as again:
        again.write(frame(200))
        until(tab, lambda: near(tab, (32, 18), (200, 200, 200)))
        tab.wait_for_selector("#badge", state="hidden")
        assert again.watched


def test_with_the_token_it_plays_and_with_another_there_is_nothing(tab: Any) -> None:
    with PageSink("0.0.0.0:0", Controls()) as sink:
        sink.write(frame(150))
        port, token = urlsplit(sink.url).port, urlsplit(sink.url).query
        url = f"http://127.0.0.1:{port}/"
        for wrong in ("", "?token=", f"?{token}x"):
            answer = tab.goto(url + wrong)
            assert answer.status == 401
            assert tab.content().count("<") < 14  # what a browser puts around plain text
            assert not sink.watched
        assert not tab.context.cookies()
        opened(tab, f"{url}?{token}")
        assert tab.url == url, "the token stays in the address bar"
        (cookie,) = tab.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert tab.evaluate("document.cookie") == ""
        tab.keyboard.press("m")
        tab.wait_for_selector('button[aria-pressed="true"]:has-text("Mirror")')
        opened(tab, url)  # it is remembered


HOSTILE = """<!doctype html><title>hostile</title>
<img id="stream" src="URL/stream.mjpg"><img id="still" src="URL/picture.jpg">
<iframe id="frame" src="URL/"></iframe>
<script src="URL/page.js" onload="window.got = (window.got ?? 0) + 1"></script>
<iframe name="sink"></iframe>
<form id="form" method="post" action="URL/api/settings" target="sink" enctype="text/plain">
<input name='{"mirror": true, "x":"' value='"}'></form>
<script>
window.got ??= 0;
async function attack() {
  const tries = [
    () => fetch("URL/api/settings", {method: "POST", body: '{"mirror": true}',
      headers: {"Content-Type": "application/json"}}),
    () => fetch("URL/api/settings", {method: "POST", body: '{"mirror": true}', mode: "no-cors",
      headers: {"Content-Type": "text/plain"}}),
    () => fetch("URL/api/key", {method: "POST", body: '{"key": "m"}', credentials: "include",
      headers: {"Content-Type": "application/json"}}),
    () => fetch("URL/picture.jpg").then((answer) => answer.blob()),
    () => fetch("URL/api/about", {credentials: "include"}).then((answer) => answer.json()),
  ];
  for (const one of tries) {
    try {
      const answer = await one();
      if (answer.type !== "opaque") window.got += 1;
    } catch {}
  }
  navigator.sendBeacon("URL/api/settings", '{"mirror": true}');
  document.getElementById("form").submit();
  await new Promise((done) => {
    const events = new EventSource("URL/api/events");
    events.onmessage = () => { window.got += 1; done(); };
    events.onerror = done;
  });
  await new Promise((done) => setTimeout(done, 500));
  const images = ["stream", "still"].map((id) => document.getElementById(id).naturalWidth);
  return {got: window.got, images};
}
</script>"""


@contextmanager
def hostile_site(url: str) -> Iterator[int]:
    """Another site on this machine that attacks `url`; gives its port."""
    page = HOSTILE.replace("URL", url).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("host", "logged_in"),
    [("localhost", False), ("127.0.0.1", False), ("127.0.0.1", True), (REBOUND, True)],
)
def test_a_hostile_page_sees_nothing_and_changes_nothing(
    host: str, logged_in: bool, tab: Any
) -> None:
    """From another site and from another port of the same; also where the user has the cookie."""
    controls = Controls()
    with PageSink("0.0.0.0:0" if logged_in else "0", controls) as sink:
        sink.write(frame(150))
        port = urlsplit(sink.url).port
        url = f"http://127.0.0.1:{port}"
        opened(tab, f"{url}/?{urlsplit(sink.url).query}")
        with hostile_site(url) as other:
            tab.goto(f"http://{host}:{other}/")
            result = tab.evaluate("attack()")
            assert result == {"got": 0, "images": [0, 0]}
            assert not [each for each in tab.frames if "seg-stream" in each.title()]
            tab.goto("about:blank")
        assert controls.current == LiveSettings()
        opened(tab, f"{url}/")  # the user's own page goes on working


def test_a_name_that_was_made_to_point_here_gets_nothing(tab: Any) -> None:
    """DNS rebinding: for the browser, page and server are of the same origin."""
    controls = Controls()
    with PageSink("0", controls) as sink:
        sink.write(frame(150))
        answer = tab.goto(f"http://{REBOUND}:{urlsplit(sink.url).port}/")
        assert answer.status == 421
        statuses = tab.evaluate(
            """async () => {
                const post = {method: "POST", body: '{"mirror": true}',
                    headers: {"Content-Type": "application/json"}};
                const tries = [["/api/settings", post], ["/picture.jpg"], ["/api/about"],
                    ["/stream.mjpg"], ["/api/events"]];
                const all = [];
                for (const [path, options] of tries) all.push((await fetch(path, options)).status);
                return all;
            }"""
        )
        assert statuses == [421] * 5
        assert controls.current == LiveSettings()

"""The built pages in a real browser: headless Chromium, no host but the loopback, wide and narrow, light and dark.

The browser is $CHROMIUM, or one on the PATH: Chromium without a window, which takes two thirds of the time, Chromium or
Chrome. Without one these tests are skipped, or fail where CI is set.
"""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import book_checks as checks
import pytest
from playwright import sync_api

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # fmt: skip
LOOKS = [(width, scheme) for width in (360, 1280) for scheme in ("light", "dark")]  # a phone, a desk

pytestmark = pytest.mark.browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that keeps no log."""

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def browser():
    if not (CHROMIUM and Path(CHROMIUM).exists()):
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        looked = CHROMIUM or ', '.join(NAMES)
        complain(f"no browser, looked for {looked}: install Chromium, or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def serve():
    """A function from a folder to its address on a free port of the loopback."""
    servers = []

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def book(built, serve):
    """The address of the project's book, and the names of its pages."""
    names = [path.relative_to(built.folder).as_posix() for path, _ in checks.pages_in(built.folder)]
    assert len(names) >= 5, built.log[-3000:]
    return serve(built.folder), names


@pytest.fixture
def window(browser):
    """A function that opens a window of a width and a colour scheme; all are closed after the test."""
    contexts = []

    def open_window(width=1280, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        return contexts[-1]

    yield open_window
    for context in contexts:
        context.close()


def visit(window, base, name):
    """Open a page; return it and the list, still growing, of its faults: console, errors, requests, missing files."""
    page, faults = window.new_page(), []
    page.on("console", lambda said: said.type in ("error", "warning") and faults.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("request", lambda request: request.url.startswith((base, "data:", "blob:"))
            or faults.append(f"foreign request: {request.url}"))  # fmt: skip
    page.on("response", lambda response: response.status >= 400 and faults.append(f"{response.status}: {response.url}"))
    page.goto(base + name, wait_until="load")
    page.evaluate("window.MathJax?.startup?.promise")  # evaluate waits for it
    return page, faults


# What is wrong with a page that a reader looks at, asked of the page itself (tests/look.js).
LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")


def look(page, width, scheme):
    """Let an open page have a width and a colour scheme, and wait until it is drawn so."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def faults_of(window, base, name):
    """All faults of a page, opened once and looked at in each look."""
    page, faults = visit(window, base, name)
    found = []
    for width, scheme in LOOKS:
        look(page, width, scheme)
        found += [f"{name}, {width} px, {scheme}: {fault}" for fault in page.evaluate(LOOK)]
    page.close()
    return [f"{name}: {fault}" for fault in faults] + found


def test_pages(window, book):
    base, names = book
    opened = window()
    assert [fault for name in names for fault in faults_of(opened, base, name)] == []


def test_an_open_page_follows_the_system(window, book):
    """Its colours and its width, as if it were opened anew: so the checks above did look at all looks."""
    seen = """[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('h1')).color,
               document.documentElement.clientWidth, document.querySelector('article').getBoundingClientRect().width,
               getComputedStyle(document.querySelector('.bd-sidebar-primary')).visibility]"""
    changing, _ = visit(window(), book[0], "index.html")
    backgrounds = set()
    for width, scheme in LOOKS:
        look(changing, width, scheme)
        fresh, _ = visit(window(width, scheme), book[0], "index.html")
        assert changing.evaluate(seen) == fresh.evaluate(seen), (width, scheme)
        backgrounds.add((scheme, fresh.evaluate(seen)[0]))
    assert len(backgrounds) == len(dict(backgrounds)) == 2 and ("light", "rgb(255, 255, 255)") in backgrounds
    assert dict(backgrounds)["dark"] != "rgb(255, 255, 255)"


def test_one_search_field_is_seen_and_finds_offline(window, book):
    page, faults = visit(window(), book[0], "index.html")
    seen = page.locator(".search-button-field:visible, input[type=search]:visible, .bd-header:visible")
    assert seen.count() == 1  # the theme as it comes shows two, one in an empty header
    seen.click()
    page.locator("#pst-search-dialog input[name=q]").fill("convolution")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=convolution*")
    page.wait_for_selector("ul.search li a")
    assert any("convolution.html" in link.get_attribute("href") for link in page.locator("ul.search li a").all())
    assert faults == []


def test_the_keyboard_reaches_the_content(window, book):
    """The first Tab shows the skip link, and Enter leads to the content; every later stop shows where it is."""
    page, _ = visit(window(), book[0], "index.html")
    page.keyboard.press("Tab")
    link = page.locator("#pst-skip-link a")
    assert link.evaluate("e => e === document.activeElement") and link.is_visible()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#main-content'")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    for _ in range(12):
        outlined = page.evaluate("(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2"
                                 " || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))")  # fmt: skip
        assert outlined, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        page.keyboard.press("Tab")


def test_the_lecture_map_works_by_keyboard(window, book):
    page, _ = visit(window(), book[0], "appendix/lecture-map.html")
    tab = page.locator(".sd-tab-content:visible")
    assert page.locator(".sd-tab-set > label").count() == 5 and tab.count() == 1
    first = tab.inner_text()
    page.locator(".sd-tab-set > input").first.focus()
    page.keyboard.press("ArrowRight")
    assert tab.count() == 1 and tab.inner_text() != first


def test_a_solution_opens_by_keyboard(window, book):
    page, _ = visit(window(), book[0], "chapters/foundations/convolution.html")
    fold = page.locator("summary", has_text="Show the solution").first
    fold.focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("e => e.parentElement.open")


# ---- The checks above, tried on broken pages -------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html lang="en"><head><title>A page</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"></head><body><article><p>Text</p>HERE</article></body></html>"""
BREAKS = {
    "console error": ("<script>console.error('no')</script>", "console: no"),
    "script error": ("<script>nothing.at.all()</script>", "nothing is not defined"),
    "foreign request": ("<img alt='a' src='https://pictures.example/a.png'>", "foreign request"),
    "missing file": ("<script src='gone.js'></script>", "404"),
    "wide page": ("<p style='width: 500px'>wide</p>", "too wide: page"),
    "clipped": ("<style>html { overflow-x: hidden }</style><p style='width: 500px'>wide</p>", "too wide: p"),
    "cut off": ("<p style='overflow: hidden'><b style='padding-left: 500px'>wide</b></p>", "cut off: p"),
    "no alt": ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='>", "picture: <img"),
    "broken picture": ("<img alt='a' src='data:image/png;base64,AAAA'>", "picture: <img"),
    "undrawn formula": ("<span class='math'>\\(x\\)</span>", "formula: \\(x\\)"),
    "pale text": ("<p style='color: #bbb'>pale</p>", "hard to read: p"),
}


def test_a_good_page_has_no_fault(window, serve, tmp_path):
    (tmp_path / "page.html").write_text(PAGE.replace("HERE", ""))
    assert faults_of(window(), serve(tmp_path), "page.html") == []


@pytest.mark.parametrize(("what", "says"), BREAKS.values(), ids=BREAKS)
def test_a_broken_page_is_found(window, serve, tmp_path, what, says):
    (tmp_path / "page.html").write_text(PAGE.replace("HERE", what))
    faults = faults_of(window(), serve(tmp_path), "page.html")
    assert any(says in fault for fault in faults), faults


ONLY = {  # what is wrong in some looks alone
    "on a phone": ("<p style='width: 500px'>wide</p>", {"360 px, light", "360 px, dark"}),
    "on a desk": ("<style>@media (min-width: 1000px) { p { color: #bbb } }</style>",
                  {"1280 px, light", "1280 px, dark"}),
    "in the dark": ("<style>@media (prefers-color-scheme: dark) { p { color: #bbb } }</style>",
                    {"360 px, dark", "1280 px, dark"}),
}  # fmt: skip


@pytest.mark.parametrize(("what", "looks"), ONLY.values(), ids=ONLY)
def test_a_page_is_looked_at_in_each_look(window, serve, tmp_path, what, looks):
    (tmp_path / "page.html").write_text(PAGE.replace("HERE", what))
    faults = faults_of(window(), serve(tmp_path), "page.html")
    assert {fault.split(": ")[0] for fault in faults} == {f"page.html, {look}" for look in looks}

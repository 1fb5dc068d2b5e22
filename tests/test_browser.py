"""The built site in a real browser: every page loads without an error and fits, every link leads somewhere.

    python tests/test_browser.py [SITE] [--pictures FOLDER]

SITE is docs/_build/html by default. It needs the package playwright, and a Chromium of playwright's own or of
the system. Without a browser nothing is checked, and the last line says so. --pictures keeps screenshots of
some pages.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

SITE = Path(__file__).parents[1] / "docs" / "_build" / "html"
WIDTHS = (1366, 390)  # a laptop, a telephone
PICTURED = ("index", "quickstart", "speed", "operations", "gallery/pitch-of-a-sound", "api/operations")
SEARCHED = {
    "uint8": "images.html",
    "resnet": "real-networks.html",
    "quantize": "faq.html",
    "MaxPooling1D": "api/layers.html",
}

# What is wider than it may be: the page, and blocks that would scroll sideways; on a telephone tables may.
TOO_WIDE = """() => {
  const found = [], root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page, by ${root.scrollWidth - root.clientWidth}`);
  for (const e of document.querySelectorAll("article :is(div, pre, table, figure, section, p, dl, ul)")) {
    const by = e.scrollWidth - e.clientWidth, how = getComputedStyle(e).overflowX;
    if (innerWidth < 600 && e.matches(".table-wrapper")) continue;
    if (by > 1 && e.clientWidth > 0 && (how === "auto" || how === "scroll"))
      found.push(`${e.tagName} ${e.className}, by ${by}: ${e.innerText.slice(0, 60)}`);
  }
  return found;
}"""
# Links and anchors as the browser has them, after the page's scripts.
LINKS = """() => [[...document.querySelectorAll("a[href], link[rel=next], link[rel=prev]")].map(a => a.href),
  [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name)]"""
# Pictures that the dark theme shows as the light one does; photographs may be.
LIGHT_ONLY = """() => [...document.querySelectorAll("article img")].filter(e => e.offsetWidth > 0
  && !e.matches(".only-dark, .toggler") && !e.closest(".tag_photo") && !e.src.endsWith(".jpg")
  && getComputedStyle(e).filter === "none")
  .map(e => e.src)"""


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of a server for this folder, on a free port of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Nothing is printed for each request."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium: playwright's, else the system's. LookupError says why there is none."""
    try:
        from playwright import sync_api
    except ImportError:
        raise LookupError("the package playwright is missing") from None
    with sync_api.sync_playwright() as api:
        programs = (None, *map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")))
        for program in dict.fromkeys(programs):
            with contextlib.suppress(sync_api.Error):
                opened = api.chromium.launch(executable_path=program, args=["--no-sandbox"])
                try:
                    yield opened
                finally:
                    opened.close()
                return
    raise LookupError("no Chromium was found, neither playwright's nor the system's")


class Visit:
    """One tab that goes through the site; `faults` is what it found, `links` how many it followed."""

    def __init__(self, opened: Any, home: str) -> None:
        self.home = home
        self.tab = opened.new_page()
        self.page = ""
        self.faults: list[str] = []
        self.links = 0
        self.tab.on("console", self._said)
        self.tab.on("pageerror", lambda error: self._fault(f"error in a script: {error}"))
        self.tab.on("requestfailed", self._failed)
        self.tab.on("request", self._asked)

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self.page}: {text}")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self._fault(f"console: {message.text}")

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # what was still loading when the next page was opened
            self._fault(f"not loaded: {request.url}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.home, "data:", "blob:")):
            self._fault(f"loads from elsewhere: {request.url}")

    def every_page(self, site: Path) -> int:
        """Each page at each width, and its links; returns the number of pages."""
        pages = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
        pages = [page for page in pages if not page.startswith("_static/")]
        anchors: dict[str, set[str]] = {}
        leads: dict[str, list[str]] = {}
        for self.page in pages:
            self.tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
            self.tab.goto(self.home + self.page, wait_until="load")
            leads[self.page], found = self.tab.evaluate(LINKS)
            anchors[self.page] = {"", *found}
            for width in WIDTHS:
                self.tab.set_viewport_size({"width": width, "height": 900})
                for text in self.tab.evaluate(TOO_WIDE):
                    self._fault(f"too wide at {width}: {text}")
        for self.page, links in leads.items():
            for link in dict.fromkeys(links):
                if link.startswith(self.home):
                    self.links += 1
                    self._follow(site, link, anchors)
        return len(pages)

    def _follow(self, site: Path, link: str, anchors: dict[str, set[str]]) -> None:
        address, anchor = urldefrag(link.removeprefix(self.home))
        target = unquote(address.partition("?")[0]) or "index.html"
        known = anchors.get(target)
        if known is None and not (site / target).is_file():
            self._fault(f"leads nowhere: {target}")
        elif known is not None and unquote(anchor) not in known:
            self._fault(f"no such anchor: {target}#{anchor}")

    def pictures_are_dark(self, pages: list[str]) -> None:
        """In the dark theme no picture but photographs is the light one."""
        self.tab.emulate_media(color_scheme="dark")
        for self.page in pages:
            self.tab.goto(self.home + self.page, wait_until="load")
            for source in self.tab.evaluate(LIGHT_ONLY):
                self._fault(f"has no dark variant: {source.removeprefix(self.home)}")
        self.tab.emulate_media(color_scheme="light")

    def search(self, words: dict[str, str]) -> None:
        """The search page finds each word, on the page that it should be on."""
        for word, wanted in words.items():
            self.page = f"search.html?q={word}"
            self.tab.goto(self.home + self.page, wait_until="load")
            with contextlib.suppress(Exception):  # a timeout: judged by what is there
                self.tab.wait_for_selector(f'#search-results a[href*="{wanted}"]', timeout=5000)
            found = self.tab.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
            if not any(wanted in link for link in found):
                self._fault(f"{wanted} is not among {len(found)} results")

    def photograph(self, folder: Path) -> None:
        """Screenshots of a few pages at each width, light and dark."""
        folder.mkdir(parents=True, exist_ok=True)
        for theme in ("light", "dark"):
            self.tab.emulate_media(color_scheme=theme)
            for self.page in PICTURED:
                for width in WIDTHS:
                    self.tab.set_viewport_size({"width": width, "height": 1000})
                    self.tab.goto(f"{self.home}{self.page}.html", wait_until="load")
                    self.tab.screenshot(path=folder / f"{self.page.replace('/', '-')}-{width}-{theme}.png")


def check(site: Path, words: dict[str, str], pictures: Path | None = None) -> tuple[list[str], str]:
    """(the faults of the site, a line that says what was checked)."""
    begin = time.monotonic()
    with browser() as opened, served(site) as home:
        visit = Visit(opened, home)
        pages = visit.every_page(site)
        with_pictures = [
            path.relative_to(site).as_posix()
            for path in sorted(site.rglob("*.html"))
            if "<img" in path.read_text("utf-8") and "_modules" not in path.parts
        ]
        visit.pictures_are_dark(with_pictures)
        visit.search(words)
        if pictures is not None:
            visit.photograph(pictures)
    said = (
        f"{pages} pages at {' and '.join(map(str, WIDTHS))} pixels, {visit.links} links, "
        f"{len(with_pictures)} pages with pictures, {len(words)} searches: {len(visit.faults)} faults, "
        f"{time.monotonic() - begin:.0f} s"
    )
    return visit.faults, said


# ---- the check finds what it looks for ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def _needs_a_browser() -> None:
    try:
        with browser():
            pass
    except LookupError as error:
        pytest.skip(f"no browser: {error}")


PAGES = {
    "good": ('<p id="x">text</p><a href="#x">1</a><a href="other.html#y">2</a>', ""),
    "anchor": ('<a href="#nowhere">1</a>', "no such anchor: index.html#nowhere"),
    "link": ('<a href="gone.html">1</a>', "leads nowhere: gone.html"),
    "console": ("<script>console.error('broken')</script>", "console: broken"),
    "script": ("<script>nothing.here()</script>", "error in a script: nothing is not defined"),
    "wide page": ('<div style="width: 600px">wide</div>', "too wide at 390: the page, by"),
    "wide block": (
        '<article><pre style="overflow: auto; width: 300px">' + "x" * 99 + "</pre></article>",
        "too wide at 1366: PRE",
    ),
    "foreign": ('<script src="http://127.0.0.1:9/x.js"></script>', "loads from elsewhere"),
    "light": ('<article><img src="a.png" width="9" height="9"></article>', "has no dark variant: a.png"),
}


@pytest.mark.long  # a browser for each; the site itself is checked by .ci/run
@pytest.mark.usefixtures("_needs_a_browser")
@pytest.mark.parametrize("name", PAGES)
def test_faults_are_found(name: str, tmp_path: Path) -> None:
    body, wanted = PAGES[name]
    icon = '<link rel="icon" href="data:,">'
    (tmp_path / "index.html").write_text(
        f"<!DOCTYPE html><html><head>{icon}</head><body>{body}</body></html>"
    )
    (tmp_path / "other.html").write_text(f'<!DOCTYPE html><html>{icon}<p id="y"></html>')
    (tmp_path / "a.png").write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
            "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
        )
    )
    faults, _ = check(tmp_path, {})
    assert bool(faults) == bool(wanted)
    assert not wanted or any(wanted in fault for fault in faults), faults


def main() -> int:
    """Check a site; returns 1 where there are faults."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", nargs="?", type=Path, default=SITE, metavar="SITE")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if not options.site.is_dir():
        print(f"{options.site} is not there: build the site first", file=sys.stderr)
        return 1
    try:
        faults, said = check(options.site.resolve(), SEARCHED, options.pictures)
    except LookupError as error:
        print(f"browser: NOT CHECKED, {error}")
        return 0
    print(*faults, said, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every link within the built site leads to a page, and to an anchor that is there.

`sphinx-build` makes the site (CONTRIBUTING.md); `python tests/test_site.py` checks it without pytest.
"""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parents[1] / "docs" / "_build" / "html"


class Page(HTMLParser):
    """The anchors of a page, and what it links to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the attributes that name a place."""
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value or "")
            elif name in ("href", "src"):
                self.links.add(value or "")


def dead(site: Path) -> list[str]:
    """The links within the site that lead nowhere, as "page: link"."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.resolve().rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
            ):
                found.append(f"{path.relative_to(site.resolve())}: {link}")
    return found


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="x"><a href="#x">1</a><a href="#y">2</a><a href="b.html">3</a>')
    assert dead(tmp_path) == ["a.html: #y", "a.html: b.html"]


if __name__ == "__main__":
    assert SITE.is_dir(), f"{SITE} is not there: build the site first"
    assert not (lost := dead(SITE)), "\n".join(["dead links:", *lost])
    print(f"{len(list(SITE.rglob('*.html')))} pages, no dead link")

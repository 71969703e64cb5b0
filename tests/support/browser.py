"""What a page fetches, runs and shows: read as a document, and by a real browser that has no network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

_PROBE = """
<script>
const violations = [];
document.addEventListener("securitypolicyviolation", event => violations.push(event.blockedURI));
addEventListener("load", () => {
  const images = [...document.images].map(image => {
    const box = image.getBoundingClientRect();
    return {alt: image.alt, natural_width: image.naturalWidth, width: box.width, height: box.height};
  });
  const told = document.createElement("pre");
  told.id = "probe";
  told.textContent = JSON.stringify({
    images, violations, resources: performance.getEntriesByType("resource").map(one => one.name).filter(
      name => !name.startsWith("data:")
    ), page_width: document.documentElement.scrollWidth, window_width: innerWidth
  });
  document.body.append(told);
});
</script>
"""


class Page(HTMLParser):
    """The tags of a page with their attributes, its texts, and what was left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"img", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


@dataclass(frozen=True)
class Image:
    """A picture as a browser lays it out: zero natural width is a picture that could not be shown."""

    alt: str
    natural_width: int
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """What a browser made of a page.

    Attributes
    ----------
    images : list of Image
    fetched : list of text
        What it asked for beside the page itself, allowed or not.
    page_width, window_width : float
        The page is wider than the window where it must be scrolled sideways.
    """

    images: list[Image]
    fetched: list[str]
    page_width: float
    window_width: float


def in_browser(path: Path, profile: Path) -> str:
    """Return the document that Chromium, without a network, makes of a page."""
    result = subprocess.run(  # noqa: S603 - a browser, on a page of ours
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--window-size=1200,900",
            f"--user-data-dir={profile}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return result.stdout.decode()


def laid_out(path: Path, folder: Path) -> Layout:
    """Return how Chromium lays a page out; it asks a copy of the page that may run one script, ours."""
    text = path.read_text(encoding="utf-8")
    allowed = text.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';", 1)
    assert allowed != text
    copy = folder / "probed.html"
    copy.write_text(re.sub(r"(<meta http-equiv=[^>]*>)", lambda tag: tag[1] + _PROBE, allowed, count=1), "utf-8")
    found = re.search(r'<pre id="probe">(.*?)</pre>', in_browser(copy, folder / "profile"), re.DOTALL)
    assert found is not None, "the page never finished loading"
    told = json.loads(unescape(found[1]))
    return Layout(
        images=[Image(**one) for one in told["images"]],
        fetched=told["resources"] + told["violations"],
        page_width=told["page_width"],
        window_width=told["window_width"],
    )

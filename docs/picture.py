"""`python docs/picture.py REPORT.html OUT.png [FIRST LAST]`: renders rows of a report as the picture in the README."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def picture(report: Path, out: Path, first: int = 0, last: int = 1) -> Path:
    """Take a screenshot of the rows `first` to `last` of a report's video wall. Needs playwright and a Chromium."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1180, "height": 1000})
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(1500)
        page.add_style_tag(content=".row details { display: none }")
        rows = page.locator(".row")
        top, end = rows.nth(first).bounding_box(), rows.nth(last).bounding_box()
        height = end["y"] + end["height"] - top["y"] - 8
        clip = {"x": 12, "y": top["y"] + 1, "width": 1156, "height": height}
        page.screenshot(path=out, full_page=True, clip=clip)
        browser.close()
    Image.open(out).convert("RGB").save(out, optimize=True)
    return out


if __name__ == "__main__":
    print(picture(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5])))

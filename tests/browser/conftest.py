"""A page in headless Chromium that may fetch nothing and whose every complaint is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

ACTION_MS = 180_000
"""End of a click or a download, in milliseconds: for a page that hangs, not a bound on speed."""


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"]
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=chromium, args=[*flags, "--disable-background-networking"])
        yield window
        window.close()


@pytest.fixture
def open_page(browser):
    """`open_page(path, **context)` -> (page, complaints, requests): what the page said and what it tried to fetch."""
    contexts = []

    def open_one(path, **context):
        tab = browser.new_context(**context)
        contexts.append(tab)
        page = tab.new_page()
        page.set_default_timeout(ACTION_MS)
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: remember_error(message, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri(), wait_until="load")
        return page, complaints, requests

    yield open_one
    for tab in contexts:
        tab.close()


def until(page: Any, condition: str, seconds: float = 180) -> None:
    """Wait for a condition; the page's own policy forbids the browser library to poll in there.

    The end is for a page that hangs, not a bound on speed: a busy machine takes many times as long as an idle one.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never became true: {condition}"
        page.wait_for_timeout(30)


def remember_error(message, complaints: list[str]) -> None:
    """Keep an error of the page's console, with the address of what it is about."""
    if message.type == "error":
        complaints.append(f"{message.text} {message.location.get('url', '')}".rstrip())

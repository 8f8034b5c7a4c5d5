"""Dagster's UI at the reports of a real run: the picture and the figures are there to see."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(
    chromium: str, tmp_path_factory: pytest.TempPathFactory, repository: Path, small_pack_folder: Path
) -> Iterator[str]:
    """A home that a run on stand-ins has filled, and Dagster's web server on it: its address."""
    folder = tmp_path_factory.mktemp("ui")
    program = repository / "tests" / "pipelines" / "stand_ins.py"
    make_clips = "import sys; sys.path.insert(0, sys.argv[1]); import stand_ins, pathlib;"
    make_clips += "stand_ins.write_clips(pathlib.Path(sys.argv[2]), {'slide': 5})"
    subprocess.run([sys.executable, "-c", make_clips, str(program.parent), str(folder / "clips")], check=True)
    config = folder / "config.json"
    config.write_text(json.dumps({"requests": {"file": "", "count": 2}, "evaluation": {"count": 1}}))
    where = ["--clips", str(folder / "clips"), "--home", str(folder / "home"), "--pack", str(small_pack_folder)]
    subprocess.run([sys.executable, str(program), "run", *where, "--config", str(config)], check=True, cwd=repository)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {"DAGSTER_HOME": str(folder / "home" / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    command = [str(Path(sys.executable).with_name("dagster-webserver")), "-w", "workspace.yaml"]
    server = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)],
        cwd=repository,
        env={**os.environ, **home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/server_info", server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while True:
        assert server.poll() is None, f"the web server ended with {server.returncode}"
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            assert time.monotonic() < end, f"{url} never answered"
            time.sleep(0.5)


@pytest.mark.parametrize(
    "path", ["/assets/leaderboard?view=overview", "/assets/metric_report?view=partitions&partition=slide"]
)
def test_the_report_asset_shows_its_picture_and_its_figures(browser, address, path):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    skip = page.get_by_role("button", name="Skip")  # Dagster's invitation, in front of everything on a first visit
    page.add_locator_handler(skip, lambda: skip.click())
    page.goto(address + path)
    page.get_by_text("consistency", exact=True).first.wait_for()
    assert page.get_by_text("motion", exact=True).first.is_visible()
    assert page.get_by_text("iou", exact=True).first.is_visible()
    row = page.locator("tr", has=page.get_by_text("sheet", exact=True)).last
    row.get_by_text("Show Markdown").click()
    picture = page.locator("img[src^='data:image/jpeg']").first
    picture.wait_for()
    handle = picture.element_handle()
    page.wait_for_function("one => one.naturalWidth > 100", arg=handle)
    page.close()

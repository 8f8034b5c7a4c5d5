"""Reports can be opened from Dagster's UI on this machine, and nothing else can be read."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.report_server import start_server


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    reports = tmp_path / "home" / "reports"
    reports.mkdir(parents=True)
    (reports / "index.html").write_text("<html>ranks</html>")
    (reports / "gallop.html").write_text("<html>gallop</html>")
    (reports / "folder").mkdir()
    (tmp_path / "home" / "settings.json").write_text("secret")
    (reports / "link.html").symlink_to(tmp_path / "home" / "settings.json")
    server = start_server(tmp_path / "home", 0)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def read(address: str, **headers: str) -> str:
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.read().decode()


@pytest.mark.parametrize(("path", "text"), [("/", "ranks"), ("/gallop.html", "gallop"), ("/gallop.html?x=1", "gallop")])
def test_reports_are_served(address: str, path: str, text: str) -> None:
    assert text in read(address + path)


@pytest.mark.parametrize(
    "path",
    ["/none.html", "/folder/", "/../settings.json", "/%2e%2e/settings.json", "/..%2fsettings.json", "/link.html"],
)
def test_nothing_else_is(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read(address + path)


def test_another_sites_name_for_this_machine_is_refused(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read(address + "/gallop.html", Host="attacker.example:3001")

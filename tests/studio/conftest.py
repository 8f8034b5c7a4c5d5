"""A studio on the small random pack, and helpers to draw in it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mvmodel.packs.info import read_run_info
from mvmodel.studio.app import create_app
from mvmodel.studio.config import StudioConfig

SIDE = 64
HEADERS = {"host": "127.0.0.1", "x-studio": "1"}


def encode_png(picture: np.ndarray) -> str:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def draw_disc(x: float, y: float, radius: float = 12) -> np.ndarray:
    """A disc, bool (64, 64)."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


class Page:
    """What a browser does: one person with a cookie."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        assert client.get("/", headers=HEADERS).status_code == 200
        self.project: dict[str, Any] = self.get("state")["project"]

    def get(self, path: str) -> Any:
        return self._answer(self.client.get(f"/api/{path}", headers=HEADERS))

    def post(self, path: str, content: Any = None) -> Any:
        return self._answer(self.client.post(f"/api/{path}", json=content or {}, headers=HEADERS))

    def refuse(self, path: str, content: Any = None, method: str = "POST") -> str:
        """The sentence with which a request is answered that cannot be done."""
        answer = self.client.request(method, f"/api/{path}", json=content or {}, headers=HEADERS)
        assert answer.status_code == 400, answer.text
        return answer.json()["error"]

    def save(self) -> dict[str, Any]:
        return self._answer(self.client.put("/api/project", json=self.project, headers=HEADERS))

    def draw(self, mask: np.ndarray) -> str:
        alpha = mask.astype(np.uint8) * 255
        picture = np.dstack([np.full((*mask.shape, 3), 255, np.uint8), alpha])
        return self.post("keys", {"files": [{"name": "key.png", "data": encode_png(picture)}]})["masks"]

    def add_object(self, masks: dict[str, Any], name: str = "", **motion: Any) -> dict[str, Any]:
        entry = {"id": f"o{len(self.project['objects'])}", "name": name, "masks": masks, "motion": motion}
        self.project["objects"].append(entry)
        return entry

    def add_disc(self, name: str = "", **motion: Any) -> dict[str, Any]:
        return self.add_object({"kind": "drawn", "keys": {"0": self.draw(draw_disc(20, 40))}}, name, **motion)

    def run(self, kind: str, parameters: dict[str, Any], seconds: float = 600) -> dict[str, Any]:
        """Queue a job and wait for it; returns the job."""
        identifier = self.post("jobs", {"kind": kind, "parameters": parameters})["jobs"][-1]
        return self.wait(identifier, seconds)

    def wait(self, identifier: str, seconds: float = 600) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = next(job for job in self.get("state")["jobs"] if job["id"] == identifier)
            if job["state"] not in ("waiting", "running"):
                return job
            time.sleep(0.05)
        raise AssertionError(f"the job never ended: {job}")

    @staticmethod
    def _answer(answer: Any) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def open_worker(small_pack_folder: Path, random_adapter: Path) -> Callable[[], Any]:
    def open_one() -> Any:
        from mvmodel.studio.worker import StudioWorker

        return StudioWorker(str(small_pack_folder), None, "pack", "auto", None, StudioConfig(), [random_adapter.parent])

    return open_one


@pytest.fixture
def serve(small_pack_folder: Path, random_adapter: Path, tmp_path: Path, open_worker):
    """`serve()` -> a client of a studio whose work is in the test's folder; `serve(worker)` has another worker."""
    clients = []

    def serve_one(worker: Callable[[], Any] = open_worker, **options: Any) -> TestClient:
        app = create_app(
            read_run_info(small_pack_folder), worker, tmp_path / "studio", adapters=[random_adapter.parent], **options
        )
        client = TestClient(app, base_url="http://127.0.0.1")
        client.__enter__()
        clients.append(client)
        return client

    yield serve_one
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def idle() -> Callable[[], Any]:
    """A worker whose jobs never end by themselves, for tests that need none or wait for a cancellation."""

    class Idle:
        def run(self, job: Any, session: Any, report: Any) -> dict[str, Any]:
            while True:
                report.progress("working", 0.5)
                time.sleep(0.01)

        def warm_up(self) -> tuple[()]:
            return ()

    return Idle


@pytest.fixture
def run_cli() -> Callable[..., None]:
    """`run_cli("generate", ...)` in this process; it has to succeed."""
    from mvmodel.cli import main

    def run_one(*arguments: object) -> None:
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        assert not exit_info.value.code

    return run_one

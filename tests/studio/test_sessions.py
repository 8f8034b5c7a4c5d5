"""A person's sessions: begun, listed, opened and deleted; two pages may show two of them."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from mvmodel.studio.jobs import JobQueue
from mvmodel.studio.sessions import SessionStore
from tests.studio.conftest import HEADERS, Page


def list_titles(page: Page) -> list[str]:
    return [entry["title"] for entry in page.get("sessions")["sessions"]]


def test_a_new_session_leaves_the_old_one_in_the_list(serve, idle):
    client = serve(idle)
    page = Page(client)
    first = page.get("state")["session"]
    page.add_disc(name="a car")
    page.save()
    second = page.post("sessions")["key"]
    assert second != first and set(list_titles(page)) == {"a car", "nothing drawn yet"}
    assert page.get(f"state?session={second}")["project"]["objects"] == []
    assert page.get(f"state?session={first}")["project"]["objects"][0]["name"] == "a car"
    changed = {**page.project, "frames": 9}
    assert client.put(f"/api/project?session={second}", json=changed, headers=HEADERS).status_code == 400  # its masks
    changed["objects"] = []
    assert client.put(f"/api/project?session={second}", json=changed, headers=HEADERS).status_code == 200
    assert page.get(f"state?session={first}")["project"]["frames"] != 9
    page.post(f"sessions/delete?session={first}")
    assert list_titles(page) == ["nothing drawn yet"] and page.get("state")["session"] == second
    assert client.get(f"/api/state?session={first}", headers=HEADERS).status_code == 401
    assert client.get(f"/?session={first}", headers=HEADERS).url.query == b""


def test_sessions_of_others_are_out_of_reach(serve, idle):
    client = serve(idle)
    mine, theirs = Page(client), Page(TestClient(client.app, base_url="http://127.0.0.1"))
    key = mine.get("state")["session"]
    for path in ("state", "sessions"):
        assert theirs.client.get(f"/api/{path}?session={key}", headers=HEADERS).status_code == 401
    assert theirs.client.post(f"/api/sessions/delete?session={key}", headers=HEADERS).status_code == 401
    assert mine.get("state")["session"] == key


def test_deleting_a_session_ends_its_jobs(serve, idle):
    page = Page(serve(idle))
    other = page.post("sessions")["key"]
    page.post(f"jobs?session={other}", {"kind": "words", "parameters": {}})
    while page.get(f"state?session={other}")["jobs"][0]["state"] != "running":
        pass
    page.post(f"sessions/delete?session={other}")
    assert len(page.get("sessions")["sessions"]) == 1
    folder = page.client.app.state.studio.store.folder
    assert not (folder / other).exists()


@pytest.mark.parametrize("kind", ["words", "generate"])
def test_figures_give_way_to_what_somebody_asked_for(tmp_path, kind):
    order = []

    class Worker:
        def run(self, job, session, report):
            order.append(job.kind)
            if job.kind == "measure" and order.count("measure") == 1:
                while True:
                    report.progress("measuring", 0.2)
            return {}

        def warm_up(self):
            for part in ("part 1", "part 2"):
                order.append(part)
                yield part

    store = SessionStore(tmp_path)
    queue, session = JobQueue(store, Worker, 9), store.find(store.create())
    queue.start()
    while "part 2" not in order:
        pass
    queue.add(session, "measure", {})
    while "measure" not in order:
        pass
    queue.add(session, kind, {})
    while [entry["state"] for entry in queue.list(session)] != ["done", "done"]:
        pass
    queue.stop()
    assert order == ["part 1", "part 2", "measure", kind, "measure"]

"""The studio's server: projects, masks, uploads, jobs, downloads, and who may ask for them."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mvmodel.masks import MaskSequence
from mvmodel.studio.config import StudioConfig
from tests.studio.conftest import HEADERS, SIDE, Page, draw_disc, encode_png


def read_sheet(answer: dict) -> np.ndarray:
    """The numbers of the objects, uint8 (frames, height, width)."""
    png = base64.b64decode(answer["sheet"].split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(png))).reshape(answer["frames"], SIDE, SIDE)


def test_a_drawn_mask_moves_along_its_path(serve, idle):
    page = Page(serve(idle))
    page.add_disc(points=[[0.25, 0.5], [0.75, 0.5]])
    answer = page.save()
    labels = read_sheet(answer)
    assert labels.shape == (page.project["frames"], SIDE, SIDE) and set(np.unique(labels)) == {0, 1}
    centres = np.array(answer["centres"][0])
    assert np.allclose(centres[[0, -1]], [[0.25, 0.5], [0.75, 0.5]], atol=0.02)
    assert (np.diff(centres[:, 0]) > 0).all() and answer["remarks"] == []


def test_work_is_there_after_a_reload_and_a_restart(serve, idle):
    first = serve(idle)
    page = Page(first)
    page.add_disc(name="a car")
    page.save()
    assert Page(first).project == page.get("state")["project"]
    again = serve(idle)
    again.cookies.update(dict(first.cookies.items()))
    assert Page(again).project["objects"][0]["name"] == "a car"
    assert read_sheet(Page(again)._answer(again.put("/api/project", json=page.project, headers=HEADERS))).any()


def test_two_people_do_not_see_each_other(serve, idle):
    client = serve(idle)
    mine, theirs = Page(client), Page(TestClient(client.app, base_url="http://127.0.0.1"))
    name = mine.draw(draw_disc(20, 20))
    mine.add_object({"kind": "drawn", "keys": {"0": name}})
    mine.save()
    job = mine.post("jobs", {"kind": "words", "parameters": {"sentence": "a car", "frames": 4, "fps": 8}})["jobs"][0]
    assert theirs.get("state")["project"]["objects"] == [] and theirs.get("state")["jobs"] == []
    assert "not in this session" in theirs.refuse(f"masks/{name}", method="GET")
    assert "no such job" in theirs.refuse(f"jobs/{job}/cancel")
    assert mine.get("state")["jobs"][0]["id"] == job


def test_jobs_wait_for_each_other_and_can_be_cancelled(serve, idle):
    client = serve(idle)
    mine, theirs = Page(client), Page(TestClient(client.app, base_url="http://127.0.0.1"))
    words = {"kind": "words", "parameters": {"sentence": "a car", "frames": 4, "fps": 8}}
    first, second = mine.post("jobs", words)["jobs"][0], theirs.post("jobs", words)["jobs"][0]
    third = mine.post("jobs", words)["jobs"][0]
    while mine.get("state")["jobs"][0]["state"] != "running":
        pass
    assert [job["place"] for job in mine.get("state")["jobs"]] == [0, 2]
    assert theirs.get("state")["jobs"][0]["place"] == 1
    mine.post(f"jobs/{third}/cancel"), mine.post(f"jobs/{first}/cancel")
    assert mine.wait(first)["state"] == "cancelled" and mine.wait(third)["state"] == "cancelled"
    theirs.post(f"jobs/{second}/cancel")
    assert theirs.wait(second)["state"] == "cancelled"


def test_a_cancelled_job_says_so_until_its_step_has_ended(serve):
    is_over = threading.Event()

    class Slow:
        def run(self, job, session, report):
            is_over.wait(600)
            report.check()
            return {}

        def warm_up(self):
            return ()

    page = Page(serve(Slow))
    job = page.post("jobs", {"kind": "words", "parameters": {}})["jobs"][0]
    while page.get("state")["jobs"][0]["state"] != "running":
        pass
    page.post(f"jobs/{job}/cancel")
    assert page.get("state")["jobs"][0]["cancelling"]
    is_over.set()
    assert page.wait(job)["state"] == "cancelled" and not page.get("state")["jobs"][0]["cancelling"]


def test_models_that_cannot_be_loaded_are_said_in_the_page(serve):
    def fail():
        raise RuntimeError("no room")

    page = Page(serve(fail))
    while (device := page.get("state")["device"]) == "starting":
        pass
    assert "models cannot be loaded" in device and "no room" in device


def test_a_job_that_was_running_waits_again_after_a_restart(serve, idle):
    first = serve(idle)
    page = Page(first)
    job = page.post("jobs", {"kind": "words", "parameters": {}})["jobs"][0]
    while page.get("state")["jobs"][0]["state"] != "running":
        pass
    first.app.state.studio.queue.stop()
    again = serve(idle)
    again.cookies.update(dict(first.cookies.items()))
    assert [entry["id"] for entry in Page(again).get("state")["jobs"]] == [job]
    Page(again).post(f"jobs/{job}/cancel")


@pytest.mark.parametrize(
    ("headers", "method", "path"),
    [
        ({"host": "evil.example"}, "GET", "/"),
        ({"host": "127.0.0.1", "origin": "http://evil.example", "x-studio": "1"}, "PUT", "/api/project"),
        ({"host": "127.0.0.1", "sec-fetch-site": "cross-site", "x-studio": "1"}, "POST", "/api/jobs"),
        ({"host": "127.0.0.1"}, "POST", "/api/jobs"),
    ],
)
def test_other_sites_are_refused(serve, idle, headers, method, path):
    client = serve(idle)
    Page(client)
    assert client.request(method, path, headers=headers, json={}).status_code == 403


def test_paths_stay_inside_the_session(serve, idle):
    page = Page(serve(idle))
    for path in ("masks/..%2f..%2fproject.json", "pictures/0123.png", "videos/..%2f/masks", "clips/..%2f../0"):
        answer = page.client.get(f"/api/{path}", headers=HEADERS)
        assert answer.status_code in (400, 404), path
    page.add_object({"kind": "sequence", "file": "../../etc/passwd"})
    assert "file" in page.refuse("project", page.project, "PUT")
    page.project["objects"] = []
    page.add_disc()["edits"] = ["combine /etc/passwd"]
    assert "edits that read files are not available here" in page.refuse("project", page.project, "PUT")
    policy = page.client.get("/", headers=HEADERS).headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy


def test_wrong_input_is_answered_in_a_sentence(serve, idle):
    page = Page(serve(idle, config=StudioConfig(max_upload_mb=1, max_frames=20)))
    assert "nothing is drawn" in page.refuse(
        "keys", {"files": [{"name": "k.png", "data": encode_png(np.zeros((SIDE, SIDE), np.uint8))}]}
    )
    text = base64.b64encode(b"no picture").decode()
    assert "cannot be read" in page.refuse("uploads/masks", {"files": [{"name": "m.png", "data": text}]})
    assert "no JSON" in page.refuse("uploads/settings", {"files": [{"name": "s.settings.json", "data": text}]})
    assert "more than 1 MB" in page.refuse("uploads/masks", {"files": [{"name": "m.png", "data": "A" * 2_000_000}]})
    page.project["frames"] = 21
    assert "limit of 20" in page.refuse("project", page.project, "PUT")


BLANK = np.zeros((SIDE, SIDE), np.uint8)
LARGE = zlib.compress(bytes(20_001 * 20_000), 9)
"""The rows of a grey picture of 20,000 x 20,000 pixels."""


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


HUGE = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
HUGE += png_chunk(b"IDAT", LARGE) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("role", "name", "content", "reason"),
    [
        ("masks", "notes.txt", b"hello", "no mask sequence"),
        ("masks", "empty.png", base64.b64decode(encode_png(BLANK)), "no foreground"),
        ("masks", "full.png", base64.b64decode(encode_png(BLANK + 255)), "invert it first"),
        ("masks", "huge.png", HUGE, "huge.png cannot be read (it has more than 178,956,970 pixels; scale it down)"),
        ("first_frame", "huge.png", HUGE, "huge.png cannot be read"),
        ("clip", "clip.mp4", b"", "empty"),
        ("clip", "clip.mp4", b"no video" * 99, "not a video file"),
        ("clip", "header.gif", b"GIF89a\x08\x00\x08\x00\x00\x00\x00;", "cannot be read"),
        ("first_frame", "notes.txt", b"hello", "not a video file"),
        ("settings", "a.json", b'{"prompt": "x", "masks": "/etc/passwd"}', "names other files"),
        ("settings", "a.json", b'{"prompt": "x"}', "masks is missing"),
        ("nothing", "a.png", b"", "nothing is uploaded as"),
    ],
)
def test_uploads_of_the_wrong_kind_are_named(serve, idle, role, name, content, reason):
    page = Page(serve(idle))
    data = base64.b64encode(content).decode()
    answer = page.refuse(f"uploads/{role}", {"files": [{"name": name, "data": data}]})
    assert reason in answer and str(page.client.app.state.studio.store.folder) not in answer


def test_uploaded_masks_pngs_and_videos_are_taken(serve, idle, tmp_path):
    page = Page(serve(idle))
    masks = np.stack([draw_disc(10 + 8 * n, 30) for n in range(4)])
    files = [{"name": f"{n}.png", "data": encode_png(mask.astype(np.uint8) * 255)} for n, mask in enumerate(masks)]
    answer = page.post("uploads/masks", {"files": files})
    assert answer["frames"] == 4 and answer["names"] == [""]
    page.add_object({"kind": "sequence", "file": answer["masks"]})
    assert read_sheet(page.save())[3].astype(bool).sum() == masks[3].sum()
    from mvmodel.video.encode import write_mp4

    clip = np.where(masks[..., None], np.uint8(200), np.uint8(40)).repeat(3, axis=3)
    data = base64.b64encode(write_mp4(tmp_path / "c.mp4", clip, 8.0).read_bytes()).decode()
    record = page.post("uploads/clip", {"files": [{"name": "c.mp4", "data": data}]})
    assert record["frames"] == 4 and page.get("state")["clips"][0]["id"] == record["id"]
    frame = page.client.get(f"/api/clips/{record['id']}/2", headers=HEADERS)
    assert Image.open(io.BytesIO(frame.content)).size == (SIDE, SIDE)


def test_a_video_is_generated_edited_exported_and_opened_again(
    serve, run_cli, small_pack_folder, random_adapter, tmp_path
):
    """Drawn, generated, exported and opened again; the command line makes the same bytes of both exports."""
    page = Page(serve())
    page.add_disc(name="a car", points=[[0.3, 0.6], [0.7, 0.4]])
    page.project["frames"] = 4
    page.project["generation"] = {"prompt": "a car", "seed": 3, "steps": 1, "adapter": "adapter"}
    page.save()
    job = page.run("generate", {"project": page.project})
    assert job["state"] == "done", job
    state = page.get("state")
    (video,) = state["videos"]
    assert video["prompt"] == "a car" and video["seed"] == 3 and video["frames"] == 4
    mp4 = page.client.get(f"/api/videos/{video['id']}/video.mp4", headers=HEADERS).content
    settings = tmp_path / "v.settings.json"
    settings.write_bytes(page.client.get(f"/api/videos/{video['id']}/export/settings", headers=HEADERS).content)
    run_cli("generate", "--settings", settings, "--out", tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == mp4

    request = page.client.get(f"/api/videos/{video['id']}/export/request", headers=HEADERS)
    zipfile.ZipFile(io.BytesIO(request.content)).extractall(tmp_path / "request")
    assert (tmp_path / "request" / "requests.csv").read_text().splitlines()[1].split(",")[1] == "adapter"
    config = json.loads((tmp_path / "request" / "settings.json").read_text())["generation"]
    from pipelines.settings import read_settings_file

    assert read_settings_file(tmp_path / "request" / "settings.json")["generation"]["steps"] == 1
    table = ("--requests", tmp_path / "request" / "requests.csv", "--adapter", random_adapter)
    options = [f"--set={name}={json.dumps(value)}" for name, value in config.items()]
    run_cli("generate", *table, *options, "--pack", small_pack_folder, "--out", tmp_path / "table")
    assert next((tmp_path / "table").glob("*.mp4")).read_bytes() == mp4

    data = base64.b64encode(settings.read_bytes()).decode()
    answer = page.post("uploads/settings", {"files": [{"name": "v.settings.json", "data": data}]})
    opened = answer["project"]
    assert (
        answer["remarks"] == []
        and opened["generation"]["prompt"] == "a car"
        and opened["objects"][0]["name"] == "a car"
    )
    masks = page.client.get(f"/api/videos/{video['id']}/export/npz", headers=HEADERS).content
    (tmp_path / "m.npz").write_bytes(masks)
    assert np.array_equal(
        read_sheet(page.get(f"videos/{video['id']}/masks")) > 0, MaskSequence.load(tmp_path / "m.npz").masks
    )
    for kind in ("gif", "webp", "webm", "frames", "masks", "beside"):
        answer = page.client.get(f"/api/videos/{video['id']}/export/{kind}", headers=HEADERS)
        assert answer.status_code == 200 and len(answer.content) > 200, kind
    page.post(f"videos/{video['id']}/delete")
    assert page.get("state")["videos"] == []


def test_a_generation_can_be_cancelled_and_says_what_is_wrong(serve):
    page = Page(serve())
    assert "no masks yet" in page.run("generate", {"project": page.project})["error"]
    page.add_disc(name="a dog")
    page.project["generation"] = {"prompt": "a car", "steps": 500, "adapter": "adapter"}
    assert "does not contain 'a dog'" in page.run("generate", {"project": page.project})["error"]
    page.project["generation"]["prompt"] = "a dog"
    job = page.post("jobs", {"kind": "generate", "parameters": {"project": page.project}})["jobs"][0]
    while page.get("state")["jobs"][-1]["preview"] < 3:
        pass
    preview = page.client.get(f"/api/jobs/{job}/preview", headers=HEADERS)
    assert Image.open(io.BytesIO(preview.content)).width == SIDE
    page.post(f"jobs/{job}/cancel")
    assert page.wait(job)["state"] == "cancelled" and page.get("state")["videos"] == []
    late = page.client.get(f"/api/jobs/{job}/preview", headers=HEADERS)
    assert late.status_code == 200 and late.content  # the page may ask when the job has just ended


def test_an_object_in_a_clip_is_found_by_a_click_or_a_box(serve):
    page = Page(serve())
    studio = page.client.app.state.studio
    session = studio.store.find(page.client.cookies[studio.cookie])
    frames = np.full((3, SIDE, SIDE, 3), 40, np.uint8)
    frames[:, 20:40, 20:40] = 220
    clip = session.store_clip(frames, 8.0, "clip")["id"]
    assert "click on the object" in page.run("segment", {"clip": clip, "frame": 0})["error"]
    page.project["size"] = "96x64"
    page.save()
    assert "another shape than 96x64" in page.run("find", {"clip": clip})["error"]
    page.project["size"] = None
    page.save()
    for prompt in ({"points": [[0.5, 0.5]]}, {"box": [0.3, 0.3, 0.7, 0.7]}):
        job = page.run("track", {"clip": clip, "frame": 1, **prompt})
        assert job["state"] == "done" or "no object was found" in job["error"], job
        if job["state"] == "done":
            assert session.load_masks(job["result"]["masks"]).frames == 3


def test_the_page_asks_only_for_its_own_files(repository):
    folder = Path(repository) / "mvmodel" / "studio" / "page"
    for file in folder.iterdir():
        addresses = set(re.findall(r"https?://[\w./]+", file.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file
    assert 'style="' not in (folder / "index.html").read_text(), "the page's policy forbids styles in attributes"

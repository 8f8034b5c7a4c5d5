"""The studio's server: a page, and what it asks for. No model is loaded here; `jobs` hands work to the device."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mvmodel.authoring.library import Library
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.errors import InputError, MvmodelError
from mvmodel.packs.info import PackInfo
from mvmodel.picture_size import PictureSize
from mvmodel.studio import uploads
from mvmodel.studio.adapters import find_adapters
from mvmodel.studio.composition import compose_masks, describe_masks
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.context import Handler, Studio, parse_project, read_json
from mvmodel.studio.exports import is_table_row
from mvmodel.studio.jobs import JobQueue, Worker
from mvmodel.studio.media import MEDIA_ROUTES, add_library_masks
from mvmodel.studio.security import LocalOnly
from mvmodel.studio.sessions import Session, SessionStore

PAGE = Path(__file__).parent / "page"
EVENT_SECONDS = 0.15
"""How often changes are looked for, to be sent to the pages."""
COOKIE_SECONDS = 400 * 24 * 3600
JOB_KINDS = ("generate", "first_frames", "words", "segment", "track", "find")


def create_app(
    info: PackInfo,
    open_worker: Callable[[], Worker],
    folder: Path,
    *,
    config: StudioConfig = StudioConfig(),
    adapters: list[Path] | None = None,
    library: Library | None = None,
    port: int = 0,
    hosts: list[str] | None = None,
    size_multiple: int = 8,
) -> Starlette:
    """The application.

    Args:
        info: The pack, with the size of videos.
        open_worker: Makes the worker that loads the models; called in the queue's thread.
        folder: Where sessions are stored.
        config: Limits.
        adapters: Folders that are searched for adapters.
        library: The mask library.
        port: In the cookie's name, since browsers share cookies between ports.
        hosts: Names of the server besides those of this machine.
        size_multiple: What width and height are divisible by.
    """
    store = SessionStore(folder / "sessions")
    queue = JobQueue(store, open_worker, config.max_waiting)
    cookie = f"mvmodel-studio-{port}"
    studio = Studio(info, size_multiple, store, queue, config, adapters or [], library, cookie)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        queue.start()
        yield
        await run_in_threadpool(queue.stop)

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, partial(_with_session, studio, handler), methods=[method])

    routes = [
        Route("/", partial(_page, studio)),
        Route("/api/sessions", partial(_add_session, studio), methods=["POST"]),
        route("/api/sessions", _sessions),
        route("/api/sessions/delete", _delete_session, "POST"),
        route("/api/state", _state),
        route("/api/events", _events),
        route("/api/project", _put_project, "PUT"),
        route("/api/uploads/{role}", _upload, "POST"),
        route("/api/keys", _add_key, "POST"),
        route("/api/jobs", _add_jobs, "POST"),
        route("/api/jobs/{job}/cancel", _cancel_job, "POST"),
        route("/api/videos/{video}/delete", _delete_video, "POST"),
        route("/api/library/{name}", add_library_masks, "POST"),
        *(route(path, handler) for path, handler in MEDIA_ROUTES.items()),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(LocalOnly, hosts=hosts or ())], lifespan=lifespan)
    app.state.studio = studio
    return app


async def _with_session(studio: Studio, handler: Handler, request: Request) -> Response:
    """Run a handler with the person's session; wrong input is answered in one sentence."""
    session = studio.store.find(request.cookies.get(studio.cookie), request.query_params.get("session"))
    if session is None:
        return JSONResponse({"error": "this session is not known here; reload the page"}, status_code=401)
    try:
        return await handler(studio, session, request)
    except MvmodelError as error:
        return JSONResponse({"error": str(error)}, status_code=400)


async def _page(studio: Studio, request: Request) -> Response:
    """The page. One session is chosen by ?session=KEY; an unknown one leads to the session that was changed last."""
    token, key = request.cookies.get(studio.cookie), request.query_params.get("session")
    if key is not None and studio.store.find(token, key) is None:
        return RedirectResponse("/")
    response = FileResponse(PAGE / "index.html", headers={"cache-control": "no-store"})
    if studio.store.find(token) is None:
        token = studio.store.create()
        response.set_cookie(studio.cookie, token, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
    return response


async def _add_session(studio: Studio, request: Request) -> Response:
    """Begin a new session of the same person."""
    token = request.cookies.get(studio.cookie)
    if token is None or studio.store.find(token) is None:
        return JSONResponse({"error": "this session is not known here; reload the page"}, status_code=401)
    return JSONResponse({"key": studio.store.add(token).key})


async def _sessions(studio: Studio, session: Session, request: Request) -> Response:
    """The person's sessions, the one that was changed last first."""

    def describe() -> list[dict[str, Any]]:
        keys = studio.store.list_own(request.cookies.get(studio.cookie))
        entries = [studio.store.open(key).describe(studio.default_project()) for key in keys]
        return sorted(entries, key=lambda entry: entry["changed"], reverse=True)

    return JSONResponse({"sessions": await run_in_threadpool(describe), "current": session.key})


async def _delete_session(studio: Studio, session: Session, request: Request) -> Response:
    """Delete the session with all its work."""

    def delete() -> None:
        studio.queue.remove_session(session)
        studio.store.delete(session.key)

    await run_in_threadpool(delete)
    return JSONResponse({})


async def _state(studio: Studio, session: Session, request: Request) -> Response:
    """Everything that the page needs when it opens."""
    info = studio.info
    pack = {"name": info.name, "width": info.size.width, "height": info.size.height, "frames": info.frames}
    pack |= {"fps": info.fps, "objects": list(info.objects), "backgrounds": list(info.backgrounds.values())}
    pack |= {"random": info.random, "start_adapter": info.start_adapter is not None}
    pack |= {"steps": GenerationConfig().for_pack(info).steps, "size_multiple": studio.size_multiple}
    return JSONResponse(
        {
            "session": session.key,
            "pack": pack | {"sizes": studio.list_sizes()},
            "project": studio.read_project(session).model_dump(mode="json"),
            "clips": session.list_records("clips"),
            "adapters": sorted(find_adapters(studio.adapters)),
            "library": studio.library is not None,
            "limits": studio.config.model_dump(),
            **_changes(studio, session),
        }
    )


def _changes(studio: Studio, session: Session) -> dict[str, Any]:
    """What changes while the page is open."""
    videos = [
        {k: v for k, v in record.items() if k != "project"} | {"is_table_row": is_table_row(record)}
        for record in session.list_records("videos")
    ]
    return {"jobs": studio.queue.list(session), "videos": videos, "device": studio.queue.worker_state}


async def _events(studio: Studio, session: Session, request: Request) -> Response:
    """Server-sent events: the session's jobs and videos whenever something changes."""

    async def stream() -> AsyncIterator[str]:
        version, last = -1, ""
        quiet = 0.0
        while not await request.is_disconnected():
            if studio.queue.version != version:
                version = studio.queue.version
                text = json.dumps(await run_in_threadpool(_changes, studio, session))
                if text != last:
                    yield f"data: {text}\n\n"
                    last, quiet = text, 0.0
            await asyncio.sleep(EVENT_SECONDS)
            quiet += EVENT_SECONDS
            if quiet > 15:
                yield ": still here\n\n"
                quiet = 0.0

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _put_project(studio: Studio, session: Session, request: Request) -> Response:
    """Save the project; answers with its masks."""
    project = parse_project(studio, await read_json(studio, request))

    def save_and_compose() -> dict[str, Any]:
        session.write_project(project)
        sequence = compose_masks(project, session.load_masks, studio.size_of(project))
        return {"sheet": None, "frames": project.frames} if sequence is None else describe_masks(sequence)

    return JSONResponse(await run_in_threadpool(save_and_compose))


async def _upload(studio: Studio, session: Session, request: Request) -> Response:
    """Uploaded files: masks, a clip, a first frame, or settings to open."""
    role = request.path_params["role"]
    files = _decode_files(await read_json(studio, request))

    def store() -> dict[str, Any]:
        saved_project = studio.read_project(session)
        size = studio.size_of(saved_project)
        with uploads.uploaded_files(files, session.folder / "work") as path:
            if role == "masks":
                return uploads.add_masks(session, path, size)
            if role == "clip":
                return uploads.add_clip(session, path, files[0][0], size, saved_project.fps, studio.config)
            if role == "first_frame":
                masks = compose_masks(saved_project, session.load_masks, size)
                return uploads.add_first_frame(session, path, size, masks)
            if role == "settings":
                project, remarks = uploads.open_settings(session, path, studio)
                session.write_project(project)
                return {"project": project.model_dump(mode="json"), "remarks": remarks}
        raise InputError(f"nothing is uploaded as {role!r}")

    return JSONResponse(await run_in_threadpool(store))


def _decode_files(content: Any) -> list[tuple[str, bytes]]:
    """[(name, content)] of {"files": [{"name", "data" in base64}]}."""
    try:
        return [(str(entry["name"]), base64.b64decode(entry["data"], validate=True)) for entry in content["files"]]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError("the upload is damaged; try again") from error


async def _add_key(studio: Studio, session: Session, request: Request) -> Response:
    """A drawn mask: a PNG in base64, white or opaque where the object is."""
    files = _decode_files(await read_json(studio, request))
    picture = cv2.imdecode(np.frombuffer(files[0][1], np.uint8), cv2.IMREAD_UNCHANGED) if files else None
    if picture is None:
        raise InputError("the drawing cannot be read; paint it again")
    studio.check_size(PictureSize(picture.shape[1], picture.shape[0]))
    opaque = picture[..., -1] if picture.ndim == 3 else picture
    return JSONResponse({"masks": uploads.add_key_mask(session, opaque > 127)})


async def _add_jobs(studio: Studio, session: Session, request: Request) -> Response:
    """Queue a job; "generate" queues one per video. Answers with their identifiers."""
    content = await read_json(studio, request)
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in JOB_KINDS:
        raise InputError(f"there is no job {kind!r}")
    parameters = dict(content.get("parameters") or {})
    if kind in ("generate", "first_frames"):
        project = parse_project(studio, parameters.get("project"))
        parameters["project"] = project.model_dump(mode="json")
    else:
        parameters["size"] = str(studio.size_of(studio.read_project(session)))
    many = [parameters]
    if kind == "generate":
        choices = project.generation
        many = [{**parameters, "seed": choices.seed + number} for number in range(choices.videos)]
    jobs = [studio.queue.add(session, kind, entry) for entry in many]
    return JSONResponse({"jobs": [job.id for job in jobs]})


async def _cancel_job(studio: Studio, session: Session, request: Request) -> Response:
    studio.queue.cancel(session, request.path_params["job"])
    return JSONResponse({})


async def _delete_video(studio: Studio, session: Session, request: Request) -> Response:
    await run_in_threadpool(session.delete_video, request.path_params["video"])
    studio.queue.version += 1
    return JSONResponse({})

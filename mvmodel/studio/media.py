"""What the studio's page shows: masks, pictures, frames of clips, videos, downloads and the mask library."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from mvmodel.errors import InputError
from mvmodel.masks.fit import fit_masks
from mvmodel.masks.sequence import MaskSequence
from mvmodel.picture_size import PictureSize, parse_size_option
from mvmodel.studio.composition import describe_masks
from mvmodel.studio.context import Handler, Studio
from mvmodel.studio.exports import export_video
from mvmodel.studio.sessions import Session

THUMBNAIL_SIDE = 96
"""Longer side in pixels of the library's pictures."""
VIDEO_FILES = {"video.mp4": "video/mp4"}


async def _masks(studio: Studio, session: Session, request: Request) -> Response:
    """Stored masks as the page draws them; with ?frame=N, one frame as a black and white PNG; with ?size, fitted."""
    sequence = session.load_masks(parse_name(request.path_params["name"]))
    if (size := parse_size_option(request.query_params.get("size"), "size")) is not None:
        studio.check_size(size)
        sequence = fit_masks(sequence, size, "pad")
    if (frame := request.query_params.get("frame")) is not None:
        mask = sequence.masks[min(max(0, int(frame) if frame.isdigit() else 0), sequence.frames - 1)]
        return Response(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes(), media_type="image/png")
    return JSONResponse(await run_in_threadpool(describe_masks, sequence))


async def _picture(studio: Studio, session: Session, request: Request) -> Response:
    path = session.folder / "pictures" / parse_name(request.path_params["name"])
    if not path.exists():
        raise InputError("this picture is not in the session")
    return FileResponse(path, media_type="image/png")


def parse_name(name: str) -> str:
    """A file's name in a session. Raises InputError for anything that could lead elsewhere."""
    stem, _, suffix = name.partition(".")
    if len(stem) != 20 or set(stem) - set("0123456789abcdef") or suffix not in ("npz", "png"):
        raise InputError(f"{name!r} names nothing in this session")
    return name


async def _clip_frame(studio: Studio, session: Session, request: Request) -> Response:
    frames = await run_in_threadpool(session.load_clip, request.path_params["clip"])
    frame = frames[min(request.path_params["frame"], len(frames) - 1)]
    content = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


async def _job_preview(studio: Studio, session: Session, request: Request) -> Response:
    job = studio.queue.find(session, request.path_params["job"])
    return Response(job.preview, media_type="image/jpeg", status_code=200 if job.preview else 404)


async def _video_masks(studio: Studio, session: Session, request: Request) -> Response:
    """The masks of a video, and where the judge found the object, as the page draws them."""
    folder = session.video_folder(request.path_params["video"])

    def describe() -> dict[str, Any]:
        sequence = MaskSequence.load(folder / "masks.npz")
        described = {**describe_masks(sequence), "masks": session.store_masks(sequence), "names": list(sequence.names)}
        detected = folder / "detected.npz"
        described["detected"] = describe_masks(MaskSequence.load(detected))["sheet"] if detected.exists() else None
        return described | {"project": session.read_video(folder.name)["project"]}

    return JSONResponse(await run_in_threadpool(describe))


async def _video_file(studio: Studio, session: Session, request: Request) -> Response:
    name = request.path_params["file"]
    if name not in VIDEO_FILES:
        raise InputError(f"a video has no {name!r}")
    return FileResponse(session.video_folder(request.path_params["video"]) / name, media_type=VIDEO_FILES[name])


async def _export(studio: Studio, session: Session, request: Request) -> Response:
    folder = session.video_folder(request.path_params["video"])
    content, media_type, name = await run_in_threadpool(export_video, folder, request.path_params["kind"])
    return Response(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


async def _library(studio: Studio, session: Session, request: Request) -> Response:
    """Entries of the mask library that a query finds, or the first ones."""
    if studio.library is None:
        return JSONResponse({"entries": []})
    query, table = request.query_params.get("query", "").strip(), studio.library.table
    names = [hit.name for hit in studio.library.search(query, limit=24)] if query else list(table["name"])[:24]
    rows = table.set_index("name").loc[names]
    columns = zip(names, rows["caption"].fillna(""), rows["motion"].fillna(""), strict=True)
    entries = [{"name": name, "caption": caption, "motion": motion} for name, caption, motion in columns]
    return JSONResponse({"entries": entries})


async def _library_masks(studio: Studio, session: Session, request: Request) -> Response:
    """An entry's masks as a small picture that plays."""
    size = studio.size_of(studio.read_project(session))
    factor = min(1.0, THUMBNAIL_SIDE / max(size.width, size.height))
    small = PictureSize(*(max(8, round(side * factor)) for side in (size.width, size.height)))
    sequence = _read_entry(studio, request)
    return JSONResponse(await run_in_threadpool(lambda: describe_masks(fit_masks(sequence, small))))


async def add_library_masks(studio: Studio, session: Session, request: Request) -> Response:
    """An entry's masks, stored in the session; answers with their file, names and camera."""
    sequence = fit_masks(_read_entry(studio, request), studio.size_of(studio.read_project(session)))
    names = list(sequence.names) or [""] * len(sequence.per_instance)
    answer = {"masks": session.store_masks(sequence), "names": names, "frames": sequence.frames}
    return JSONResponse(answer | {"camera": sequence.camera})


def _read_entry(studio: Studio, request: Request) -> MaskSequence:
    if studio.library is None:
        raise InputError("there is no mask library; run the pipeline (make demo) first")
    return studio.library.sequence(request.path_params["name"])


MEDIA_ROUTES: dict[str, Handler] = {
    "/api/masks/{name}": _masks,
    "/api/pictures/{name}": _picture,
    "/api/clips/{clip}/{frame:int}": _clip_frame,
    "/api/jobs/{job}/preview": _job_preview,
    "/api/videos/{video}/masks": _video_masks,
    "/api/videos/{video}/export/{kind}": _export,
    "/api/videos/{video}/{file}": _video_file,
    "/api/library": _library,
    "/api/library/{name}": _library_masks,
}
"""Path -> what answers it."""

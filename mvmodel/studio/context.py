"""What all answers of the studio's server share: the queue, the sessions and the limits."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mvmodel.authoring.library import Library
from mvmodel.config import parse_config
from mvmodel.errors import InputError
from mvmodel.packs.info import PackInfo
from mvmodel.picture_size import PictureSize
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.jobs import JobQueue
from mvmodel.studio.project import Project
from mvmodel.studio.sessions import Session, SessionStore


@dataclass
class Studio:
    """What all requests share. cookie: the name of the cookie with a person's token."""

    info: PackInfo
    size_multiple: int
    store: SessionStore
    queue: JobQueue
    config: StudioConfig
    adapters: list[Path]
    library: Library | None
    cookie: str

    def default_project(self) -> Project:
        return Project(frames=max(2, self.info.frames), fps=self.info.fps)

    def size_of(self, project: Project) -> PictureSize:
        """Width and height of a project's masks and videos."""
        return project.size or self.info.size

    def check_size(self, size: PictureSize) -> None:
        """Raise InputError if the pack cannot make videos of that size, or if it is beyond the server's limit."""
        size.check_multiple(self.size_multiple, self.info.name)
        largest = self.config.max_size_factor * self.info.size.width * self.info.size.height
        if size.width * size.height > largest:
            raise InputError(
                f"{size} has more than {self.config.max_size_factor:g} times the pixels of {self.info.size}; "
                f"choose a smaller size"
            )

    def list_sizes(self) -> list[dict[str, Any]]:
        """Sizes to choose from: the server's, wider, taller and larger ones. iou: what was measured there, or None."""
        base, multiple = self.info.size, self.size_multiple
        shapes = ((1.0, 1.0), (1.5, 1.0), (1.0, 1.5), (2.0, 1.0), (1.5, 1.5))
        sizes = [str(base), *self.info.sizes]
        for wide, tall in shapes:
            width, height = (round(side / multiple) * multiple for side in (base.width * wide, base.height * tall))
            sizes.append(f"{width}x{height}")
        return [{"size": size, "iou": self.info.sizes.get(size)} for size in dict.fromkeys(sizes)]

    def read_project(self, session: Session) -> Project:
        return session.read_project(self.default_project())


Handler = Callable[[Studio, Session, Request], Awaitable[Response]]


def parse_project(studio: Studio, content: Any) -> Project:
    """A project within the server's limits. Raises InputError."""
    if not isinstance(content, dict):
        raise InputError("a project is a table")
    project = parse_config(Project, content, "the project")
    if project.frames > studio.config.max_frames:
        raise InputError(f"{project.frames} frames are more than the limit of {studio.config.max_frames}")
    if len(project.objects) > studio.config.max_objects:
        raise InputError(f"a project has at most {studio.config.max_objects} objects")
    if project.size is not None:
        studio.check_size(project.size)
    return project


async def read_json(studio: Studio, request: Request) -> Any:
    """The JSON of a request within the limit of uploads."""
    limit, content = studio.config.max_upload_mb * 1_400_000, bytearray()  # base64 needs a third more
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise InputError(f"the upload has more than {studio.config.max_upload_mb} MB")
    try:
        return json.loads(bytes(content))
    except ValueError as error:
        raise InputError("the request is no JSON") from error

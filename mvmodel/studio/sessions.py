"""Sessions: each person's work in a folder of their own, which survives reloads and restarts of the server."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mvmodel.config import parse_config
from mvmodel.errors import InputError
from mvmodel.files import atomic_write, write_json
from mvmodel.masks.sequence import MaskSequence
from mvmodel.studio.project import Project
from mvmodel.video.frames import read_frames, write_frames

_TOKEN = re.compile(r"[\w-]{32,64}")
_IDENTIFIER = re.compile(r"[0-9a-f]{12}")


class Session:
    """One person's folder. project.json, masks/, pictures/, clips/, videos/, jobs.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()

    @property
    def key(self) -> str:
        """The folder's name, which identifies the session inside of the server."""
        return self.folder.name

    def read_project(self, default: Project) -> Project:
        """The saved project. One that cannot be read is put aside, and the default begins anew."""
        file = self.folder / "project.json"
        with self.lock:
            if not file.exists():
                return default
            try:
                return parse_config(Project, json.loads(file.read_text()), "project.json")
            except (ValueError, InputError):
                file.rename(file.with_name(f"project-{int(time.time())}.unreadable.json"))
                return default

    def write_project(self, project: Project) -> None:
        with self.lock:
            write_json(self.folder / "project.json", project.model_dump(mode="json"))

    def changed(self) -> float:
        """When the project was last saved, or the session begun, in seconds since 1970."""
        file = self.folder / "project.json"
        return (file if file.exists() else self.folder).stat().st_mtime

    def describe(self, default: Project) -> dict[str, Any]:
        """What a list of sessions shows: key, title, time of the last change, and its videos, the newest first."""
        project = self.read_project(default)
        names = ", ".join(entry.name for entry in project.objects if entry.name)
        title = (
            project.generation.prompt.strip() or names or ("drawn masks" if project.objects else "nothing drawn yet")
        )
        videos = [record["id"] for record in self.list_records("videos")]
        return {"key": self.key, "title": title[:80], "changed": self.changed(), "videos": videos}

    def store_masks(self, sequence: MaskSequence) -> str:
        """Store masks under the hash of their content; returns the file's name."""
        content = sequence.content_hash() + "|".join(sequence.names) + str(sequence.fps)
        name = f"{hashlib.sha256(content.encode()).hexdigest()[:20]}.npz"
        path = self.folder / "masks" / name
        if not path.exists():
            sequence.save(path)
        return name

    def load_masks(self, name: str) -> MaskSequence:
        """Stored masks. Raises InputError if they are not there."""
        path = self.folder / "masks" / name
        if not path.exists():
            raise InputError(f"the masks {name} are not in this session; draw or upload them again")
        return _load_masks(path)

    def store_picture(self, picture: np.ndarray) -> str:
        """Store a picture, uint8 RGB (height, width, 3), as a PNG under its hash; returns the file's name."""
        name = f"{hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()[:20]}.png"
        path = self.folder / "pictures" / name
        if not path.exists():
            with atomic_write(path) as temporary:
                cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return name

    def load_picture(self, name: str) -> np.ndarray:
        """A stored picture, uint8 RGB (height, width, 3). Raises InputError if it is not there."""
        path = self.folder / "pictures" / name
        picture = cv2.imread(str(path)) if path.exists() else None
        if picture is None:
            raise InputError(f"the picture {name} is not in this session; upload it again")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def store_clip(self, frames: np.ndarray, fps: float, name: str) -> dict[str, Any]:
        """Store a clip's frames, uint8 RGB (frames, height, width, 3); returns what the page knows about it."""
        identifier = secrets.token_hex(6)
        folder = self.folder / "clips" / identifier
        write_frames(folder / "frames.npz", frames)
        record = {"id": identifier, "name": name, "frames": len(frames), "fps": fps, "created": time.time()}
        write_json(folder / "clip.json", record)
        return record

    def load_clip(self, identifier: str) -> np.ndarray:
        """A clip's frames, uint8 RGB (frames, height, width, 3). Raises InputError if there is no such clip."""
        file = self._part("clips", identifier) / "frames.npz"
        if not file.exists():
            raise InputError("this clip is not in the session; upload it again")
        return _load_frames(file)

    def list_records(self, kind: str) -> list[dict[str, Any]]:
        """The records of all clips ("clips", clip.json) or videos ("videos", video.json), the newest first."""
        name = {"clips": "clip.json", "videos": "video.json"}[kind]
        files = [file for file in self.folder.glob(f"{kind}/*/{name}") if not file.parent.name.startswith(".")]
        records = [json.loads(file.read_text()) for file in files]  # hidden folders are not finished
        return sorted(records, key=lambda record: float(record["created"]), reverse=True)

    def video_folder(self, identifier: str) -> Path:
        """The folder of a finished video. Raises InputError if there is none."""
        folder = self._part("videos", identifier)
        if not (folder / "video.json").exists():
            raise InputError("this video is not in the session")
        return folder

    def read_video(self, identifier: str) -> dict[str, Any]:
        """A finished video's record."""
        record: dict[str, Any] = json.loads((self.video_folder(identifier) / "video.json").read_text())
        return record

    def delete_video(self, identifier: str) -> None:
        """Remove a finished video. Raises InputError if there is none."""
        shutil.rmtree(self.video_folder(identifier))

    def _part(self, kind: str, identifier: str) -> Path:
        if not _IDENTIFIER.fullmatch(identifier):
            raise InputError(f"{identifier!r} names nothing in this session")
        return self.folder / kind / identifier


@lru_cache(maxsize=64)
def _load_masks(path: Path) -> MaskSequence:
    return MaskSequence.load(path)


@lru_cache(maxsize=2)
def _load_frames(path: Path) -> np.ndarray:
    return read_frames(path)


class SessionStore:
    """All sessions of a server.

    A token is known to its browser only. Folders are named by the token's hash; further sessions of the same browser
    add a number of their own. A browser sees only the sessions of its token.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def create(self) -> str:
        """A new session of a new person; returns the token."""
        token = secrets.token_urlsafe(32)
        (self.folder / _hash_token(token)).mkdir(parents=True)
        return token

    def add(self, token: str) -> Session:
        """A new session of a person."""
        key = f"{_hash_token(token)}-{secrets.token_hex(4)}"
        (self.folder / key).mkdir(parents=True)
        return self.open(key)

    def find(self, token: str | None, key: str | None = None) -> Session | None:
        """A person's session of that key, or the one that was changed last. None if there is none."""
        keys = self.list_own(token)
        if key is not None:
            return self.open(key) if key in keys else None
        return self.open(max(keys, key=lambda key: self.open(key).changed())) if keys else None

    def list_own(self, token: str | None) -> list[str]:
        """The keys of a person's sessions."""
        if not token or not _TOKEN.fullmatch(token):
            return []
        name = _hash_token(token)
        return [key for key in self.list_keys() if key == name or key.startswith(f"{name}-")]

    def open(self, key: str) -> Session:
        """The session of a folder's name."""
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = Session(self.folder / key)
            return self._sessions[key]

    def delete(self, key: str) -> None:
        """Remove a session with all its work."""
        with self._lock:
            self._sessions.pop(key, None)
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def list_keys(self) -> list[str]:
        """The names of all sessions' folders."""
        return sorted(path.name for path in self.folder.glob("*") if path.is_dir())


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:24]

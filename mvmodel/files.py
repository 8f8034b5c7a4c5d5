"""Atomic writes and content hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXT = re.compile(
    r"no space left on device|disk quota exceeded|os error 28|database or disk is full|\d+ requested and \d+ written",
    re.IGNORECASE,
)
"""What SQLite, safetensors, NumPy and others say when a disk is full."""
DISK_FULL = "the disk is full; free some space and run the same command again, which keeps what is finished"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename it to `path` if the block succeeds; else remove it.

    The temporary name keeps the suffix, because writers choose a format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which replaces `folder` if the block succeeds and is removed otherwise."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{folder.name}")
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            old = folder.with_name(f".old-{uuid.uuid4().hex[:8]}-{folder.name}")
            os.replace(folder, old)
            os.replace(temporary, folder)
            shutil.rmtree(old)
        else:
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def empty_folder(folder: Path) -> Path:
    """Create `folder`, or remove everything in it; returns it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def user_cache_folder() -> Path:
    """The folder for downloads and caches of this user: `MVMODEL_HOME`, else ~/.cache/mvmodel."""
    return Path(os.environ.get("MVMODEL_HOME") or Path.home() / ".cache" / "mvmodel")


def walk_folder(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, names of its subfolders, names of its files) of a folder and all below it, like `os.walk` and sorted.

    Hidden files and folders are left out. Links to folders are followed, unless they lead to a folder that is read
    anyway, such as one that they are in themselves. The caller may remove subfolders from the list, to skip them.
    """
    root, real_paths = os.path.realpath(folder), set[str]()
    for current, subfolders, files in os.walk(folder, followlinks=True):
        real_paths.add(os.path.realpath(current))
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and not _is_read_elsewhere(Path(current) / name, root, real_paths)
        )
        yield Path(current), subfolders, sorted(name for name in files if not name.startswith("."))


def _is_read_elsewhere(subfolder: Path, root: str, real_paths: set[str]) -> bool:
    """Whether a link leads to a folder around `root`, to one inside it that is not hidden, or to one in `seen`."""
    if not subfolder.is_symlink():
        return False
    target = Path(os.path.realpath(subfolder))
    if str(target) in real_paths or Path(root).is_relative_to(target):
        return True
    return target.is_relative_to(root) and not any(part.startswith(".") for part in target.relative_to(root).parts)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. Values that JSON does not know are written as text."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=str) + "\n")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """SHA-256 over the sorted relative paths and contents of a folder's files, hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def hash_value(value: Any) -> str:
    """SHA-256 of a JSON-serializable value, independent of key order, hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that a disk is full. Not all libraries raise it as an OSError."""
    errors = [error]
    while (cause := errors[-1].__cause__ or errors[-1].__context__) is not None and cause not in errors:
        errors.append(cause)
    return any(getattr(e, "errno", None) in _FULL_ERRNOS or _FULL_TEXT.search(str(e)) is not None for e in errors)


def is_inside_name(name: Any) -> bool:
    """Whether a name from a manifest, an archive or a request is a relative path that stays inside its folder.

    Refused are absolute paths, `..`, empty parts, NUL and other control characters, backslashes and drives (C:).
    """
    if not isinstance(name, str) or "\\" in name or name[1:2] == ":" or any(ord(character) < 32 for character in name):
        return False
    return not any(part in ("", ".", "..") for part in name.split("/"))


def rate_file(folder: Path) -> Path:
    """The small JSON beside a folder of masks that stores their frame rate: NAME.fps.json."""
    folder = Path(folder).resolve()
    return folder.with_name(f"{folder.name}.fps.json")

"""Files of a store on a local disk or on any file system of fsspec. Object stores know neither folders nor renaming."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mvmodel.files import write_json

if TYPE_CHECKING:
    from upath import UPath


class StoreFiles:
    """Files and folders below `root`.

    Args:
        root: A folder, or an fsspec address such as s3://bucket/mvmodel.
        options: Of the fsspec file system, such as its endpoint.

    Attributes:
        root: The root as a path. Imports fsspec only for addresses with a protocol.
        is_local: Whether it is on a disk of this machine.
    """

    def __init__(self, root: str | Path, options: Mapping[str, Any] | None = None) -> None:
        self.root: UPath
        if "://" not in str(root):
            self.root, self.is_local = cast("UPath", Path(root)), True
            return
        from upath import UPath

        self.root = UPath(root, **dict(options or {}))
        self.is_local = isinstance(self.root, Path) and self.root.protocol in ("", "file")

    def refresh(self) -> None:
        """Forget listings that the file system keeps: another machine may have written meanwhile."""
        if not self.is_local:
            self.root.fs.invalidate_cache()

    def write_json(self, path: UPath, value: Any) -> None:
        """Write JSON, whole or not at all. An object appears when it is complete."""
        if self.is_local:
            write_json(Path(str(path)), value)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value, default=str))

    def move_in(self, folder: Path, path: UPath, names: Iterable[str]) -> None:
        """Bring a local folder to `path`, where nothing is. The last of `names` says that all of it is there.

        On a disk `folder` is moved; it is copied to another disk or an object store, and stays.
        """
        if self.is_local:
            _move_folder(folder, Path(str(path)))
            return
        for name in names:
            self.upload(folder / name, path / name)

    def upload(self, file: Path, path: UPath) -> None:
        """Copy a local file to the store, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.is_local:
            temporary = Path(str(path)).with_name(f".tmp-{uuid.uuid4().hex[:8]}-{path.name}")
            try:
                shutil.copyfile(file, temporary)
                os.replace(temporary, str(path))
            finally:
                temporary.unlink(missing_ok=True)
        else:
            path.fs.put_file(str(file), path.path)

    def download(self, path: UPath, file: Path) -> None:
        """Copy a file of the store to a local one. Raises OSError if it is not there."""
        file.parent.mkdir(parents=True, exist_ok=True)
        if self.is_local:
            shutil.copyfile(str(path), file)
        else:
            path.fs.get_file(path.path, str(file))

    def files(self, path: UPath) -> Iterator[UPath]:
        """All files below a path, or the file that is at it."""
        self.refresh()
        if self.is_local:
            local = Path(str(path))
            paths = sorted(p for p in local.rglob("*") if p.is_file()) if local.is_dir() else [local]
            yield from (cast("UPath", p) for p in paths if p.exists())
            return
        for name in path.fs.find(path.path):
            yield self._at(name)

    def exists(self, path: UPath) -> bool:
        """Whether there is a file at a path, or anything below it."""
        return next(self.files(path), None) is not None or (self.is_local and Path(str(path)).exists())

    def rename(self, path: UPath, new: UPath) -> None:
        """Rename a folder. On an object store its files are copied and removed; those that cannot be are left out."""
        if self.is_local:
            Path(str(path)).rename(str(new))
            return
        for file in list(self.files(path)):
            target = new / _relative(file, path)
            with suppress(FileNotFoundError):
                target.parent.mkdir(parents=True, exist_ok=True)
                file.fs.copy(file.path, target.path)
            with suppress(FileNotFoundError):
                file.fs.rm_file(file.path)

    def remove(self, path: UPath) -> None:
        """Remove a file or folder, if it is there."""
        if self.is_local:
            local = Path(str(path))
            if local.is_dir() and not local.is_symlink():
                shutil.rmtree(local)
            else:
                local.unlink(missing_ok=True)
            return
        for file in list(self.files(path)):
            with suppress(FileNotFoundError):
                file.fs.rm_file(file.path)
        self.refresh()

    def measure(self, path: UPath) -> tuple[int, float]:
        """Bytes of a file or folder, and days since anything in it changed (0 if the file system does not say)."""
        size, newest, count = 0, 0.0, 0
        for file in self.files(path):
            info = _describe_file(file, self.is_local)
            size, newest, count = size + info[0], max(newest, info[1]), count + 1
        if count == 0 and self.is_local and Path(str(path)).exists():
            newest, count = Path(str(path)).stat().st_mtime, 1
        return size, max(0.0, time.time() - newest) / 86_400 if count else 0.0

    def relative(self, path: UPath) -> str:
        """A path from the root on, with slashes."""
        return _relative(path, self.root)

    def _at(self, name: str) -> UPath:
        """The path of a name that the file system listed."""
        prefix = self.root.path.strip("/")
        return self.root / name.strip("/").removeprefix(prefix).strip("/")


def _move_folder(folder: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(path)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        shutil.copytree(folder, temporary)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _relative(path: UPath, root: UPath) -> str:
    full, start = (str(getattr(p, "path", p)).strip("/") for p in (path, root))
    return full.removeprefix(start).strip("/")


def _describe_file(file: UPath, is_local: bool) -> tuple[int, float]:
    """Bytes and time of change of a file; the present time if the file system does not say."""
    if is_local:
        status = Path(str(file)).stat()
        return status.st_size, status.st_mtime
    info = file.fs.info(file.path)
    changed = next((info[key] for key in ("LastModified", "mtime", "updated", "created") if info.get(key)), None)
    if isinstance(changed, str):
        with suppress(ValueError):
            changed = datetime.fromisoformat(changed)
    if isinstance(changed, datetime):
        changed = (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
    return int(info.get("size") or 0), float(changed) if isinstance(changed, int | float) else time.time()

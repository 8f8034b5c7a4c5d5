"""The one rule for everything that a command writes: nothing of the user's is overwritten unasked.

- An output is never an input: not the same file (by another name, a symbolic or a hard link), not inside an input
  folder, and no folder around an input.
- What exists already is refused without `--overwrite`, unless mvmodel wrote it and nobody has changed it since. A
  ledger in the user's cache folder knows that: for each path the hash of what was written there. Folders that a command
  resumes from are known by files in them.
- Folders and other things that are no files are never replaced by a file, nor files by a folder.

Commands check this before they load a model, and add their outputs to the ledger when they have finished.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mvmodel.errors import InputError
from mvmodel.files import atomic_write, hash_file, hash_folder, user_cache_folder

_MAX_NAME_BYTES = 240
"""File systems allow 255 bytes; temporary names beside the output add up to 14."""
_WRITE_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}
_WRITE_ERROR_TEXTS = ("No space left on device", "File too large", "Disk quota exceeded", "PytorchStreamWriter")
"""How libraries that raise no OSError (safetensors, torch) say that a file could not be written."""


@dataclass(frozen=True)
class Output:
    """Something that a command is going to write.

    path: The file or folder. option: The option that names it, for messages. folder: Whether it is a folder. suffixes:
    The endings that a file may have; empty allows all. markers: Files, relative to the folder, any of which shows that
    mvmodel writes to it. created: Whether missing parent folders are created.
    """

    path: Path
    option: str = "--out"
    folder: bool = False
    suffixes: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    created: bool = False


@contextmanager
def guarded_outputs(
    outputs: Sequence[Output], inputs: Iterable[Path | None], overwrite: bool = False
) -> Iterator[None]:
    """Check the outputs, run the block that writes them, and add them to the ledger if it succeeds.

    inputs: files and folders that are read; None and missing ones are ignored. overwrite: replace what the user has
    there. Raises InputError, naming the path and the option, before the block if an output may not be written, and in
    place of the block's own error if the disk is full or cannot be written to.
    """
    check_outputs(outputs, inputs, overwrite)
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = _write_error(error)
        if reason is None:
            raise
        file = getattr(error, "filename", None) or outputs[0].path
        raise InputError(
            f"{file} cannot be written ({reason}); make room there, or give another {outputs[0].option}"
        ) from error
    for output in outputs:
        _add_to_ledger(output)


def check_outputs(outputs: Sequence[Output], inputs: Iterable[Path | None], overwrite: bool = False) -> None:
    """Raise InputError unless every output may be written; see `guarded_outputs`."""
    existing_inputs = [Path(path) for path in inputs if path is not None and os.path.lexists(path)]
    for index, output in enumerate(outputs):
        _check_name(output)
        for path in existing_inputs:
            _check_against_input(output, path)
        for other in outputs[:index]:
            if _is_same(output.path, other.path):
                raise InputError(f"{output.path} would be written twice; give {output.option} another name")
        _check_place(output)
        _check_existing(output, overwrite)


def _check_name(output: Output) -> None:
    if output.suffixes and output.path.suffix.lower() not in output.suffixes:
        *others, last = output.suffixes
        formats = f"{', '.join(others)} or {last}" if others else last
        only = "the formats that are written" if others else "the only format that is written"
        raise InputError(f"{output.path} should end in {formats}, {only}")
    if len(os.fsencode(output.path.name)) > _MAX_NAME_BYTES:
        raise InputError(f"the name {output.path.name[:40]}… is too long; give a shorter {output.option}")


def _check_against_input(output: Output, path: Path) -> None:
    """Raise InputError if the output is this input, is inside it, or is a folder around it."""
    refusal = f"give another {output.option}"
    if _is_same(output.path, path):
        raise InputError(f"{output.path} is an input and would be overwritten; {refusal}")
    out, resolved = output.path.resolve(), path.resolve()
    if resolved.is_dir() and (out.is_relative_to(resolved) or _is_inside(out, resolved)):
        raise InputError(f"{output.path} is inside the input folder {path}; {refusal}")
    if output.folder and resolved.is_relative_to(out):
        raise InputError(f"{output.path} contains the input {path}, which would be overwritten; {refusal}")


def _check_place(output: Output) -> None:
    """Raise InputError if the output's folder is missing, full or cannot be written to."""
    parent = output.path.absolute().parent
    while output.created and not os.path.lexists(parent):
        parent = parent.parent
    if not os.path.lexists(parent):
        raise InputError(f"{output.path} cannot be written, since the folder {parent} does not exist; create it")
    if not parent.is_dir():
        raise InputError(f"{output.path} cannot be written, since {parent} is no folder; give another {output.option}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{output.path} cannot be written, since {parent} is write-protected; {_another(output)}")
    if shutil.disk_usage(parent).free == 0:
        raise InputError(f"{output.path} cannot be written, since the disk is full; {_another(output)}")


def _check_existing(output: Output, overwrite: bool) -> None:
    """Raise InputError if something is there that may not be replaced."""
    path = output.path
    if not os.path.lexists(path):
        return
    if path.is_dir() != output.folder and path.exists():
        kind, needed = ("folder", "file") if path.is_dir() else ("file", "folder")
        raise InputError(f"{path} is a {kind}, and a {needed} would be written there; {_another(output)}")
    if path.exists() and not path.is_dir() and not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder; {_another(output)}")
    if output.folder and path.is_dir() and not any(path.iterdir()):
        return
    if overwrite or _is_own(output):
        return
    raise InputError(
        f"{path} exists and is not an unchanged output of mvmodel; {_another(output)}, or add --overwrite to replace it"
    )


def _another(output: Output) -> str:
    return f"give another {output.option}"


def _is_own(output: Output) -> bool:
    """Whether mvmodel wrote what is there, and nobody has changed it since."""
    if any((output.path / marker).exists() for marker in output.markers):
        return True
    entry = _ledger_entry(output.path)
    with suppress(OSError, UnicodeError):  # hashes need names in UTF-8, as ours are
        return entry.is_file() and entry.read_text() == _content_hash(output.path)
    return False


def _add_to_ledger(output: Output) -> None:
    """Remember what was written. Without a cache folder to write to, the next run needs `--overwrite`."""
    if output.markers or not output.path.exists():
        return
    with suppress(OSError), atomic_write(_ledger_entry(output.path)) as temporary:
        temporary.write_text(_content_hash(output.path))


def _ledger_entry(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return user_cache_folder() / "outputs" / name


def _content_hash(path: Path) -> str:
    return hash_folder(path) if path.is_dir() else hash_file(path)


def _is_same(first: Path, second: Path) -> bool:
    """Whether two paths are one file: by name, or by a symbolic or hard link."""
    if first.resolve() == second.resolve():
        return True
    return first.exists() and second.exists() and first.samefile(second)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether `path` is inside `folder` on a file system where one folder has several names."""
    return any(parent.exists() and parent.samefile(folder) for parent in path.parents)


def _write_error(error: Exception) -> str | None:
    """Why a file could not be written, if that is what the error says."""
    if isinstance(error, OSError) and error.errno in _WRITE_ERRORS:
        return error.strerror or os.strerror(error.errno)
    text = str(error)
    return next((words for words in _WRITE_ERROR_TEXTS if words in text), None)

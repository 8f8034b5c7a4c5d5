"""Text files as people's programs write them: UTF-8 with or without a byte order mark, and UTF-16."""

from __future__ import annotations

import codecs
from pathlib import Path

from mvmodel.errors import InputError

MAX_TEXT_BYTES = 64 << 20
"""Larger text files are refused before they are read."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MIN_NUL_SHARE = 0.2
"""UTF-16 of Western text without a mark is half NUL bytes; a stray NUL in other text stays below this share."""
_SAVE_AS_UTF8 = "save it as UTF-8 (Excel: Save As, 'CSV UTF-8'; Notepad: Save As, Encoding 'UTF-8')"


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark and with line ends as "\\n".

    Raises InputError naming the file and the fix if it cannot be read, is neither UTF-8 nor UTF-16, holds NUL
    characters, or is larger than `MAX_TEXT_BYTES`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise InputError(f"{path} has more than {MAX_TEXT_BYTES >> 20} MiB; give a smaller text file")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a text file") from error
    text = _decode(content, path)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: there is a NUL character, so it is no text; {_SAVE_AS_UTF8}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(content: bytes, path: Path) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decode_as(content[len(mark) :], encoding, path)
    return _decode_as(content, _guess_encoding(content), path)


def _guess_encoding(content: bytes) -> str:
    """UTF-16 if enough NUL bytes are all in the first or all in the second byte of a pair, else UTF-8."""
    first, second = content[::2].count(0), content[1::2].count(0)
    if first + second >= _MIN_NUL_SHARE * len(content) > 0 and len(content) % 2 == 0 and 0 in (first, second):
        return "utf-16-be" if first else "utf-16-le"
    return "utf-8"


def _decode_as(content: bytes, encoding: str, path: Path) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(f"{path} is damaged {encoding.upper()[:6]} text; {_SAVE_AS_UTF8}") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8 (byte 0x{content[error.start]:02X} in line {line}, perhaps Windows-1252 or another "
            f"old encoding); {_SAVE_AS_UTF8}"
        ) from error

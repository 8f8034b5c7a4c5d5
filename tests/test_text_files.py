"""Text as Notepad, Excel and others save it: read right, or refused with the file, the line and the fix."""

from pathlib import Path

import pytest

from mvmodel import text_files
from mvmodel.errors import InputError
from mvmodel.text_files import read_text

SENTENCE = "a horse, ein Pferd\nläuft – 馬\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(SENTENCE.replace("\n", "\r\n").encode(encoding))
    assert read_text(path) == SENTENCE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_marked_big_and_little_endian(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(("\ufeff" + SENTENCE).encode(encoding))
    assert read_text(path) == SENTENCE


def test_an_old_encoding_is_refused_with_its_line_and_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("first\na café".encode("cp1252"))
    with pytest.raises(InputError, match=r"a\.txt is not UTF-8 \(byte 0xE9 in line 2.*save it as UTF-8"):
        read_text(path)
    path.write_bytes("馬が走る草原の上で".encode("shift_jis"))
    with pytest.raises(InputError, match="is not UTF-8"):
        read_text(path)


def test_what_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\na\0dog and much more text\n")
    with pytest.raises(InputError, match=r"line 2: there is a NUL"):
        read_text(path)
    path.write_bytes(b"\xff\xfea\0b\0c")
    with pytest.raises(InputError, match="damaged UTF-16"):
        read_text(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path)
    monkeypatch.setattr(text_files, "MAX_TEXT_BYTES", 3)
    with pytest.raises(InputError, match="smaller text file"):
        read_text(path)

"""Tables as Excel, LibreOffice, pandas and trainers write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvmodel.errors import InputError
from mvmodel.tables import read_csv, read_json_rows

NAMES = {"file": ("video",), "caption": ("prompt", "text"), "motion": ()}
VALUES = [{"file": "a.mp4", "caption": "a café, at noon", "motion": "run"}]
QUOTED = 'file,caption,motion\na.mp4,"a café, at noon",run\n'


def _write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        QUOTED,
        QUOTED.replace("\n", "\r\n"),
        QUOTED.replace("\n", "\r"),
        "file;caption;motion\na.mp4;a café, at noon;run\n",
        "sep=;\nfile;caption;motion\na.mp4;a café, at noon;run\n",
        "file\tcaption\tmotion\na.mp4\ta café, at noon\trun",
        'File, Caption ,MOTION\na.mp4, "a café, at noon", run\n',
        'video,prompt,motion\na.mp4,"a café, at noon",run\n',
        'file,caption,motion,,\n,,,,\na.mp4,"a café, at noon",run,,\n\n,,,,\n',
        '\n\n"file","caption","motion"\n\n"a.mp4","a café, at noon","run"\n  \n',
    ],
)
def test_delimiters_line_ends_blank_lines_and_spellings(tmp_path: Path, text: str, encoding: str) -> None:
    table = read_csv(_write(tmp_path, text, encoding), NAMES, ("file",))
    assert [row.values for row in table.rows] == VALUES and table.unused == []


def test_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    text = 'file,caption\n\na.mp4,"two\nlines"\n,\nb.mp4,x\n'
    assert [row.line for row in read_csv(_write(tmp_path, text), NAMES).rows] == [3, 6]
    text = "sep=;\nfile;caption\na.mp4;x\n"
    assert [row.line for row in read_csv(_write(tmp_path, text), NAMES).rows] == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,caption,motion\n\na.mp4,a horse, brown,run\n", r"t\.csv, line 3: 4 values for 3 columns; put quotes"),
        ("file,caption,motion\na.mp4,a horse, brown,\n", "line 2: 4 values for 3 columns"),
        ("file,caption,motion,\na.mp4,a horse, brown,run\n", "line 2: 4 values for 3 columns"),
        ("file,caption,motion,start,end\na.mp4,a horse, brown\n", "line 2: fewer values than columns"),
        ("file;caption\na.mp4;a horse; brown\n", "holds a semicolon"),
        ('file,caption\na.mp4,"a "big" horse"\n', "line 2: the quotes are not closed"),
        ('file,caption\na.mp4,x\nb.mp4,"a horse\n', "line 3: the quotes are not closed"),
        ("file,captoin\na.mp4,x\n", "'captoin'; did you mean 'caption'"),
        ("caption,motion\nx,y\n", "no column 'file'.*names caption, motion"),
        ("file,caption,Caption\na.mp4,x,y\n", "'caption' twice"),
        ("file,caption\na.mp4,=1+1\n", "line 2: '=1.1' is a formula"),
        ("file,caption\na.mp4,#NAME?\n", "line 2: '#NAME.' is a formula or its error"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_csv(_write(tmp_path, text), NAMES, ("file",))


def test_unknown_columns_are_named_and_own_names_go_first(tmp_path: Path) -> None:
    table = read_csv(_write(tmp_path, "file,text,caption,Notes\na.mp4,x,y,z\n"), NAMES)
    assert table.rows[0].values == {"file": "a.mp4", "caption": "y"} and table.unused == ["text", "Notes"]
    assert read_csv(_write(tmp_path, ""), NAMES, ("file",)).rows == []


@pytest.mark.parametrize(
    "text",
    [
        '\n{"video": "a.mp4", "text": "x", "n": 1}\r\n\n{"video": "b.mp4"}\n',
        '[{"video": "a.mp4", "text": ["x"], "n": 1}, {"video": "b.mp4"}]',
    ],
)
def test_json(tmp_path: Path, text: str) -> None:
    table = read_json_rows(_write(tmp_path, text, "utf-8-sig"), NAMES)
    assert [row.values for row in table.rows] == [{"file": "a.mp4", "caption": "x"}, {"file": "b.mp4"}]
    assert table.unused == ["n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"file": "a"}\n{"file": \n', "line 2: not valid JSON"), ("1\n", "line 1: not a JSON object")],
)
def test_damaged_json(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_json_rows(_write(tmp_path, text), NAMES)

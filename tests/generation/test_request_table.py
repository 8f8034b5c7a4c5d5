"""Request tables as spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvmodel.errors import InputError
from mvmodel.generation import request_table
from mvmodel.generation.request_table import read_requests
from mvmodel.text import motion_slug

HEADER = "motion,prompt,masks,seed\n"
ROW = "gallop,a dog,m.npz,1\n"


def _write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "requests.csv").write_bytes(text.encode(encoding))
    return folder / "requests.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        HEADER + ROW,
        (HEADER + ROW).replace("\n", "\r\n"),
        (HEADER + ROW).replace(",", ";"),
        (HEADER + ROW).replace(",", "\t"),
        (HEADER + ROW).replace(",", ", "),
        HEADER.title() + "\n" + ROW + ",,,\n",
        HEADER.replace("prompt", "Text") + "Gallop,a dog,.\\M.NPZ,1.0\n",
    ],
)
def test_spreadsheets(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "m.npz").touch()
    (request,) = read_requests(_write(tmp_path, text, encoding))
    assert request.model_dump() == {
        "name": "gallop-01", "motion": "gallop", "prompt": "a dog", "masks": tmp_path / "m.npz", "seed": 1,
        "negative_prompt": "", "source": "",
    }  # fmt: skip


@pytest.mark.parametrize("label", ["run fast", "run/jump", "跑"])
def test_a_motion_may_be_any_label(tmp_path: Path, label: str) -> None:
    (request,) = read_requests(_write(tmp_path, f"{HEADER}{label},a dog,m.npz,1\n"))
    assert (request.motion, request.name) == (motion_slug(label), f"{motion_slug(label)}-01")


def test_sources_of_masks_are_kept(tmp_path: Path) -> None:
    (tmp_path / "m.npz").touch()
    sources = ["words: a dog runs", "library: dog", "M.npz | mirror", "words: a dog | mirror", "frames"]
    text = HEADER + "".join(f"run,a dog,{source},1\n" for source in sources)
    read = [request.source for request in read_requests(_write(tmp_path, text))]
    assert read == [source.replace("M.npz", "m.npz") for source in sources]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "\ngallop,a dog, very fast,m.npz,1\n", r"requests\.csv, line 3: 5 values for 4 columns"),
        (HEADER + "gallop,a dog\n", "line 2: no masks"),
        (HEADER + "\n,a dog,m.npz,1\n", "line 3: no motion"),
        (HEADER + "gallop,a dog,m.npz,one\n", "line 2: seed: .*integer.*'one'"),
        (HEADER + "gallop,a dog,../m.npz,1\n", r"line 2: \.\./m\.npz lies outside"),
        (HEADER + "gallop,a dog,C:\\m.npz,1\n", "line 2: .* lies outside"),
        (HEADER + "gallop,a\0dog,m.npz,1\n", "line 2: there is a NUL"),
        ("motion,prompt,masks,seed,notes\ngallop,a dog,m.npz,1,hello\n", "column 'notes', which means nothing here"),
        (HEADER, "has column names and no requests"),
        (f"{HEADER}gallop,=1+1,m.npz,1\n", "line 2: '=1.1' is a formula"),
        ("motion,prompt,masks,seeds\ngallop,a dog,m.npz,1\n", "'seeds'; did you mean 'seed'"),
        ("name,motion,prompt,masks\na b,gallop,a dog,m.npz\n", "line 2: 'a b' cannot name a file"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_requests(_write(tmp_path, text))


def test_an_old_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"requests\.csv is not UTF-8 \(byte 0xE9 in line 2"):
        read_requests(_write(tmp_path, HEADER + "gallop,a café dog,m.npz,1\n", "cp1252"))


def test_a_table_has_a_limit_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.npz").touch()
    monkeypatch.setattr(request_table, "MAX_REQUESTS", 3)
    assert len(read_requests(_write(tmp_path, HEADER + 3 * ROW))) == 3
    with pytest.raises(InputError, match=r"requests\.csv, line 5: .* limit of 3; divide it"):
        read_requests(_write(tmp_path, HEADER + 4 * ROW))

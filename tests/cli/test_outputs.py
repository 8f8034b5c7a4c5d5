"""Nothing of the user's is overwritten unasked, by any command that writes."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image

from mvmodel.cli import app
from mvmodel.masks import MaskSequence

COMMANDS = {
    ("masks", "extract"): ("clip.mp4", "--out"),
    ("masks", "author"): ("scene.yaml", "--out"),
    ("masks", "from-text"): ("a dog runs", "--out"),
    ("masks", "edit"): ("m.npz", "flip", "--out"),
    ("masks", "preview"): ("m.npz", "--out"),
    ("train",): ("frames", "--out"),
    ("generate",): ("--prompt", "a car", "--masks", "m.npz", "--out"),
    ("report",): ("frames", "--requests", "requests.csv", "--out"),
    ("packs", "assemble"): ("m.npz", "--base", "tiny"),
    ("packs", "fake"): ("small",),
    ("packs", "pull"): ("sd15", "--to"),
}
"""Every command that writes, with arguments that end where the output's path goes."""
FOLDERS = {("masks", "extract"), ("train",), ("report",), ("packs", "assemble"), ("packs", "fake"), ("packs", "pull")}
"""Commands whose output is a folder."""
FILES = {("masks", "preview"): "theirs.gif", ("generate",): "theirs.mp4"}
"""Outputs of the other commands, where they are no .npz."""


def writing_commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The commands below `command` that have an option or argument for an output."""
    for name, part in getattr(command, "commands", {}).items():
        yield from writing_commands(part, (*words, name))
    helps = [getattr(parameter, "help", None) or "" for parameter in getattr(command, "params", [])]
    if any(text.startswith("Output ") or "Also write" in text for text in helps):
        yield words


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("MVMODEL_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def place(tmp_path, monkeypatch, video, masks, clip) -> Path:
    """A user's folder with a clip, its masks in three forms, frames, a scene and a table, and the current folder."""
    shutil.copy(video, tmp_path / "clip.mp4")
    shutil.copytree(masks, tmp_path / "frames")
    MaskSequence(clip.masks).save(tmp_path / "m.npz")
    pictures = [Image.fromarray(mask) for mask in clip.masks]
    pictures[0].save(tmp_path / "m.gif", save_all=True, append_images=pictures[1:])
    (tmp_path / "scene.yaml").write_text("size: [64, 64]\nobjects:\n  - motion: {kind: bounce}\n")
    (tmp_path / "requests.csv").write_text("motion,prompt,masks,seed\nglide,a car,m.npz,1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_refused(run, folder: Path, *arguments: object) -> str:
    """The sentence with which a command is refused; nothing in the folder has changed."""
    before = contents(folder)
    result = run(*arguments)
    assert result.code == 2, (result.out, result.err)
    assert result.err.startswith("mvmodel: ") and len(result.err.splitlines()) == 1, result.err
    assert contents(folder) == before
    return result.err


def test_every_command_that_writes_is_in_this_file_and_has_the_option():
    root = typer.main.get_command(app)
    assert set(writing_commands(root)) == set(COMMANDS)
    for words in COMMANDS:
        command = root
        for word in words:
            command = command.commands[word]
        assert "--overwrite" in {option for parameter in command.params for option in parameter.opts}, words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_the_user_has_there_is_refused(run, place, words):
    out = place / ("theirs" if words in FOLDERS else FILES.get(words, "theirs.npz"))
    if words in FOLDERS:
        out.mkdir()
        (out / "00000.png").write_bytes(b"a picture of the user")
    else:
        out.write_bytes(b"a file of the user")
    assert "--overwrite" in assert_refused(run, place, *words, *COMMANDS[words], out)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_places_that_cannot_be_written_to_are_refused(run, place, words):
    name = "new" if words in FOLDERS else FILES.get(words, "new.npz")
    arguments = (*words, *COMMANDS[words])
    assert "does not exist" in assert_refused(run, place, *arguments, place / "missing" / name)
    assert "is no folder" in assert_refused(run, place, *arguments, place / "m.npz" / name)
    occupied = place / f"occupied-{name}"
    occupied.write_bytes(b"") if words in FOLDERS else occupied.mkdir()
    assert "would be written there" in assert_refused(run, place, *arguments, occupied, "--overwrite")
    assert "too long" in assert_refused(run, place, *arguments, place / ("x" * 245 + name))


@pytest.mark.parametrize(
    "arguments",
    [
        ("masks", "extract", "frames", "--out", "frames"),
        ("masks", "extract", "frames", "--out", "frames/masks"),
        ("masks", "extract", "frames", "--out", "new", "--preview", "frames/p.mp4"),
        ("masks", "extract", "clip.mp4", "--out", "new", "--preview", "clip.mp4"),
        ("masks", "edit", "frames", "flip", "--out", "frames"),
        ("masks", "edit", "m.npz", "combine m.gif", "--out", "m.gif"),
        ("masks", "edit", "m.npz", "flip", "--out", "x.gif", "--preview", "x.gif"),
        ("masks", "preview", "m.npz", "--on", "clip.mp4", "--out", "clip.mp4"),
        ("masks", "preview", "m.gif", "--out", "m.gif"),
        ("masks", "author", "scene.yaml", "--out", "scene.yaml"),
        ("masks", "from-text", "a dog runs", "--shape", "frames/00000.png", "--out", "frames"),
        ("train", "frames", "--out", "frames"),
        ("train", "frames", "--out", "frames/adapter"),
        ("generate", "--prompt", "a car", "--masks", "clip.mp4", "--out", "clip.mp4"),
        ("generate", "--prompt", "a car", "--instance", "a car=clip.mp4", "--out", "clip.mp4"),
        ("generate", "--prompt", "a car", "--masks", "frames", "--out", "frames/v.mp4"),
        ("report", "frames", "--requests", "requests.csv", "--out", "frames"),
        ("report", "frames", "--requests", "requests.csv", "--out", "frames/report"),
    ],
    ids=" ".join,
)
def test_an_input_is_never_an_output(run, place, arguments):
    assert_refused(run, place, *arguments)
    assert_refused(run, place, *arguments, "--overwrite")


def test_links_do_not_hide_an_input(run, place):
    os.link("m.gif", "hard.gif")
    Path("symbolic.gif").symlink_to("m.gif")
    Path("pictures").symlink_to("frames")
    for out in ("hard.gif", "symbolic.gif"):
        assert "is an input" in assert_refused(run, place, "masks", "edit", "m.gif", "", "--out", out, "--overwrite")
    assert "is an input" in assert_refused(run, place, "masks", "edit", "frames", "", "--out", "pictures")
    inside = assert_refused(run, place, "masks", "edit", "frames", "", "--out", "pictures/new.npz")
    assert "is inside the input folder" in inside
    around = assert_refused(run, place, "masks", "edit", "frames/00000.png", "", "--out", "frames", "--overwrite")
    assert "contains the input" in around


def test_our_own_unchanged_outputs_are_replaced(run, place):
    for out in ("a.npz", "a.json", "a.gif", "pictures"):
        arguments = ("masks", "edit", "m.npz", "flip", "--out", out, "--preview", f"p-{out}.gif")
        for _ in range(2):
            result = run(*arguments)
            assert result.code == 0, result.err
    Image.new("L", (64, 64), 255).save("pictures/00001.png")
    assert_refused(run, place, "masks", "edit", "m.npz", "flip", "--out", "pictures")
    assert run("masks", "edit", "m.npz", "flip", "--out", "pictures", "--overwrite").code == 0
    Path("pictures/notes.txt").write_text("mine")
    assert_refused(run, place, "masks", "edit", "m.npz", "flip", "--out", "pictures", "--overwrite")


def test_a_full_disk_is_one_sentence(place, monkeypatch):
    """A limit on the size of files fails writing as a full disk does, after the outputs were checked."""
    ran = subprocess.run(
        [sys.executable, "-m", "mvmodel.cli", "masks", "edit", "m.npz", "flip", "--out", "new.npz"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("mvmodel: new.npz cannot be written") and len(ran.stderr.splitlines()) == 1
    assert not list(place.glob("*new.npz"))


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("--alpha", "nan"), "--alpha"),
        (("--guidance-scale", "inf"), "--guidance-scale"),
        (("--steps", "0"), "--steps"),
        (("--seed", str(2**63)), "--seed"),
        (("--window", "3"), "--window"),
        (("--first-frame", "gone.png"), "--first-frame"),
        (("--adapter", "gone"), "--adapter"),
        (("--first-frame-at", "-1"), "--first-frame-at"),
    ],
)
def test_a_wrong_option_is_named_before_models_are_loaded(run, place, arguments, option):
    common = ("generate", "--prompt", "a car", "--masks", "m.npz", "--out", "new.mp4", "--pack", "no-such-pack")
    assert option in assert_refused(run, place, *common, *arguments)

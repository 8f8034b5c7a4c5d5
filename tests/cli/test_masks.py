"""The masks commands, run as a user does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmodel.authoring.library import LibraryEntry, write_library
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks, write_masks
from mvmodel.masks.geometry import centroid
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.saving import save_adapter
from mvmodel.packs import load_pack
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.frames import read_frames
from mvmodel.video.probe import probe_video

COMMANDS = ["extract", "author", "from-text", "edit", "preview", "check", "search"]


@pytest.fixture
def wedge(tmp_path: Path) -> Path:
    picture = np.zeros((40, 60), np.uint8)
    picture[10:30, 10:50] = 255
    picture[10:20, 10:20] = 0
    Image.fromarray(picture).save(tmp_path / "wedge.png")
    return tmp_path / "wedge.png"


def test_every_command_has_an_example_in_its_help(run):
    help_text = run("masks", "--help").out
    positions = [help_text.index(f" {name} ") for name in COMMANDS]
    assert positions == sorted(positions)
    for name in COMMANDS:
        assert f"Example: mvmodel masks {name}" in " ".join(run("masks", name, "--help").out.split())


def test_a_scene_becomes_masks_and_a_preview(run, tmp_path):
    (tmp_path / "scene.yaml").write_text(
        "frames: 10\nsize: [48, 64]\nobjects:\n"
        "  - name: ball\n    shape: {kind: disc, width: 0.3}\n"
        "    motion: {kind: bounce, start: [0.2, 0.2], velocity: [0.4, 0]}\n"
    )
    result = run(
        "masks",
        "author",
        tmp_path / "scene.yaml",
        "--out",
        tmp_path / "b.json",
        "--preview",
        tmp_path / "b.gif",
        "--json",
    )
    assert result.code == 0, result.err
    assert (result.json["frames"], result.json["height"], result.json["objects"]) == (10, 48, ["ball"])
    assert read_masks(tmp_path / "b.json").names == ("ball",)
    assert (tmp_path / "b-sheet.png").exists()
    refused = run("masks", "author", tmp_path / "gone.yaml", "--out", tmp_path / "x.npz")
    assert refused.code == 2 and "gone.yaml cannot be read" in refused.err


def test_edits_from_the_command_line(run, masks, tmp_path):
    before = read_masks(masks)
    result = run("masks", "edit", masks, "flip | move 3 0 | duplicate 0 5", "--out", tmp_path / "e.npz", "--json")
    assert result.code == 0, result.err
    after = read_masks(tmp_path / "e.npz")
    assert len(after.per_instance) == 2 and result.json["frames"] == before.frames
    assert "outside=clip" in run("masks", "edit", masks, "list").out
    for edits, reason in (("melt", "no edit 'melt'"), ("move left", "is a number")):
        refused = run("masks", "edit", masks, edits, "--out", tmp_path / "x.npz")
        assert refused.code == 2 and reason in refused.err and len(refused.err.splitlines()) == 1


def test_shifts_take_pixels_or_shares(run, masks, tmp_path):
    for name, edits in (("pixels", "move 16 0"), ("shares", "move 0.25 0")):
        assert run("masks", "edit", masks, edits, "--out", tmp_path / f"{name}.npz").code == 0
    pixels, shares = (read_masks(tmp_path / f"{name}.npz").masks for name in ("pixels", "shares"))
    assert np.array_equal(pixels, shares) and not np.array_equal(pixels, read_masks(masks).masks)
    assert "shares of the width" in run("masks", "edit", masks, "list").out
    refused = run("masks", "edit", masks, "move nan 0", "--out", tmp_path / "x.npz")
    assert refused.code == 2 and "finite number" in refused.err


def test_edits_that_leave_nothing_say_so(run, masks, tmp_path):
    result = run("masks", "edit", masks, "move 500 0", "--out", tmp_path / "nothing.npz")
    assert result.code == 1 and "no foreground" in result.err


def test_preview_and_check(run, masks, video, clip, tmp_path):
    result = run("masks", "preview", masks, "--out", tmp_path / "p.mp4", "--on", video)
    assert result.code == 0, result.err
    assert [Path(line).name for line in result.out.split()] == ["p.mp4", "p-sheet.png"]
    good = run("masks", "check", masks, "--for", video, "--json")
    assert good.code == 0 and good.json["coverage"] == pytest.approx(clip.masks.mean(), abs=1e-6)
    assert good.json["reasons"] == [] and good.json["confidence"] is None
    write_png_folder(tmp_path / "three", clip.masks[:3])
    short = run("masks", "check", tmp_path / "three", "--for", video)
    assert short.code == 2 and "has 3 masks, but car.mp4 has 4 frames" in short.err
    write_png_folder(tmp_path / "inverted", ~clip.masks)
    inverted = run("masks", "check", tmp_path / "inverted")
    assert inverted.code == 2 and "inside out" in inverted.err
    assert run("masks", "check", tmp_path / "inverted", "--black").code == 0
    vanishing = clip.masks.copy()
    vanishing[1:] = False
    MaskSequence(vanishing).save(tmp_path / "gone.npz")
    weak = run("masks", "check", tmp_path / "gone.npz", "--json")
    assert weak.code == 1 and "no foreground in 75%" in weak.json["reasons"][0]
    assert weak.err.startswith("mvmodel: the masks are weak: no foreground in 75%")


def test_words_with_a_shape_of_ones_own(run, wedge, small_pack_folder, tmp_path):
    result = run(
        *("masks", "from-text", "a dog runs from left to right, jumps twice", "--out", tmp_path / "d.npz"),
        *("--shape", wedge, "--frames", 16, "--pack", small_pack_folder, "--json"),
    )
    assert result.code == 0, result.err
    assert result.json["objects"] == ["dog"]
    assert any("together was taken" in text for text in result.json["assumptions"])
    masks = read_masks(tmp_path / "d.npz")
    width = masks.width
    assert centroid(masks.masks[0])[0] < 0.3 * width and centroid(masks.masks[-1])[0] > 0.7 * width
    refused = run(
        "masks", "from-text", "a dog", "--out", tmp_path / "x.npz", "--shape", wedge, "--pack", small_pack_folder
    )
    assert refused.code == 2 and "no verb of motion" in refused.err


@pytest.mark.parametrize("sentence", ["a dog", "a cat evaporates from left to right", "a dog runs, evaporates"])
def test_an_unknown_verb_is_refused_before_a_pack_is_looked_for(run, tmp_path, sentence, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a mask library of the pipeline, whose motions a sentence may name, is not found here
    refused = run("masks", "from-text", sentence, "--out", tmp_path / "x.npz", "--pack", tmp_path / "nowhere")
    assert refused.code == 2 and "verb of motion" in refused.err and "nowhere" not in refused.err


@pytest.mark.parametrize("sentence", ["a car", "a car evaporates from left to right", "a car drives, evaporates"])
def test_an_unknown_verb_is_refused_with_a_mask_library_too(run, clip, tmp_path, sentence, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = [LibraryEntry("drive", MaskSequence(clip.masks), "a car drives over a meadow", "drive")]
    entries.append(LibraryEntry("odd", MaskSequence(clip.masks), "a car sneaks along", "sneak"))
    write_library(Path(".mvmodel/demo/store/mask_library/all/1"), entries)
    command = ("--out", tmp_path / "x.npz", "--pack", tmp_path / "nowhere")
    refused = run("masks", "from-text", sentence, *command)
    assert refused.code == 2 and "verb of motion" in refused.err and "nowhere" not in refused.err
    known = run("masks", "from-text", "a dog sneaks to the left", *command)
    assert known.code == 2 and "nowhere" in known.err, "a motion of the library: now the pack is looked for"
    asked = run("masks", "from-text", "a dog evaporates", "--use-library-motion", *command)
    assert asked.code == 2 and "nowhere" in asked.err, "the most similar one, whatever the sentence says"


def test_check_judges_the_confidence_that_extract_stored(run, clip, tmp_path):
    MaskSequence(clip.masks).save(tmp_path / "unsure.npz", confidence=[0.1] * len(clip.masks))
    result = run("masks", "check", tmp_path / "unsure.npz", "--json")
    assert result.code == 1 and result.json["confidence"] == pytest.approx(0.1)
    assert "the segmenter is unsure" in result.err


def test_generate_has_a_limit_of_frames(run, small_pack_folder, tmp_path):
    masks = np.zeros((10_001, 8, 8), bool)
    masks[:, 2:5, 2:5] = True
    MaskSequence(masks).save(tmp_path / "long.npz")
    refused = _generate(run, small_pack_folder, tmp_path, "--masks", tmp_path / "long.npz")
    assert refused.code == 2 and "10001 frames are more than the limit of 10000" in refused.err


def test_generate_takes_masks_of_every_nth_frame(run, small_pack_folder, clip, tmp_path):
    MaskSequence(clip.masks[::2], 4.0).save(tmp_path / "half.npz")
    result = _generate(run, small_pack_folder, tmp_path, "--masks", tmp_path / "half.npz", "--every", 2)
    assert result.code == 0 and result.json["every"] == 2 and result.json["fps"] == 8.0, result.err
    assert len(read_frames(tmp_path / "v.mp4")) == len(clip.masks)


def _generate(run, pack_folder, folder, *options):
    """One step of `mvmodel generate`, with an adapter of random weights."""
    pack = load_pack(pack_folder)
    save_adapter(MotionMaskAdapter.for_unet(pack.unet(), mask_width=4), folder / "adapter", pack.info.frames)
    return run(
        *("generate", "--prompt", "a car", "--out", folder / "v.mp4", "--pack", pack_folder, "--steps", 1, "--json"),
        *("--adapter", folder / "adapter", *options, "--set", "first_frame_steps=1"),
    )


def test_search_in_a_library(run, clip, tmp_path):
    sequence = MaskSequence(clip.masks)
    write_library(
        tmp_path / "lib",
        [LibraryEntry("car-1", sequence, "a car glides in the snow", "glide"), LibraryEntry("x", sequence)],
    )
    (hit,) = run("masks", "search", "gliding", "--library", tmp_path / "lib", "--json").json
    assert hit["name"] == "car-1" and Path(hit["file"]).exists()
    assert "nothing in" in run("masks", "search", "submarine", "--library", tmp_path / "lib").out
    missing = run("masks", "search", "x", "--library", tmp_path)
    assert missing.code == 2 and "no library of mask sequences" in missing.err


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_pack")
def test_the_rate_is_kept_from_extract_to_generate(run, clip, tmp_path):
    video = write_mp4(tmp_path / "clip.mp4", clip.frames, 30)
    result = run("masks", "extract", video, "--out", tmp_path / "x.npz", "--pack", "tiny", "--json")
    assert result.code == 0 and result.json["fps"] == 30, result.err
    assert MaskSequence.load(tmp_path / "x.npz").fps == 30
    write_masks(tmp_path / "m", MaskSequence(clip.masks, 30.0))  # as extract writes a folder
    for source, target in (("m", "a"), ("a", "b.gif"), ("b.gif", "c.mp4"), ("c.mp4", "d.json"), ("d.json", "e")):
        result = run("masks", "edit", tmp_path / source, "flip", "--out", tmp_path / target, "--json")
        assert result.code == 0 and result.json["fps"] == 30, (target, result.err)
    assert run("masks", "preview", tmp_path / "e", "--out", tmp_path / "p.mp4").code == 0
    command = ("generate", "--prompt", "a car", "--masks", tmp_path / "e", "--out", tmp_path / "v.mp4", "--steps", 1)
    result = run(*command, "--pack", "tiny")
    assert result.code == 0, result.err
    assert [probe_video(tmp_path / name).fps for name in ("p.mp4", "v.mp4")] == [30, 30]


def test_the_file_with_the_rate_is_an_output_too(run, masks, tmp_path):
    (tmp_path / "m.fps.json").write_text("mine")
    refused = run("masks", "edit", masks, "flip", "--out", tmp_path / "m")
    assert refused.code == 2 and "m.fps.json exists" in refused.err
    assert (tmp_path / "m.fps.json").read_text() == "mine" and not (tmp_path / "m").exists()
    for _ in range(2):  # what mvmodel wrote is replaced
        assert run("masks", "edit", masks, "flip", "--out", tmp_path / "n").code == 0
    over = run("masks", "edit", tmp_path / "n", "flip", "--out", tmp_path / "n.fps.json", "--overwrite")
    assert over.code == 2 and "is an input" in over.err


def test_masks_of_every_second_frame(run, masks, video, clip, tmp_path):
    write_png_folder(tmp_path / "half", clip.masks[::2])
    refused = run("masks", "check", tmp_path / "half", "--for", video)
    assert refused.code == 2 and "--every 2" in refused.err
    result = run("masks", "edit", tmp_path / "half", "", "--every", 2, "--out", tmp_path / "all.npz", "--json")
    assert result.code == 0 and result.json["frames"] == 4, result.err
    assert np.array_equal(read_masks(tmp_path / "all.npz").masks[::2], clip.masks[::2])
    assert (
        run("masks", "preview", tmp_path / "half", "--every", 2, "--on", video, "--out", tmp_path / "p.gif").code == 0
    )


def test_masks_pair_with_frames_by_number(run, clip, tmp_path):
    write_png_folder(tmp_path / "frames", clip.frames)
    write_png_folder(tmp_path / "masks", np.concatenate([clip.masks, clip.masks[:1]]))
    (tmp_path / "masks" / "00001.png").unlink()
    refused = run("masks", "preview", tmp_path / "masks", "--on", tmp_path / "frames", "--out", tmp_path / "p.gif")
    assert refused.code == 2 and "number of frame 1;" in refused.err

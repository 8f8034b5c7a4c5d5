from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from mvmodel.video.encode import write_mp4
from mvmodel.world.render import random_clip


def test_help_imports_nothing_heavy():
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mvmodel.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.split("|")[-1].strip() for line in ran.stderr.splitlines()}
    assert "mvmodel.cli.generate" in imported
    heavy = {"torch", "numpy", "cv2", "diffusers", "transformers", "dagster", "pandas", "matplotlib", "av", "decord"}
    assert not heavy & imported
    assert "generate" in ran.stdout


def test_the_app_has_every_command_without_calling_main():
    from mvmodel.cli import app

    groups = {"clips", "masks", "packs"}
    commands = {"train", "generate", "studio", "metrics", "report", "doctor"}
    assert set(typer.main.get_command(app).commands) == groups | commands


def test_clips_check_prints_one_object_a_file_and_leaves_with_zero(run, tmp_path):
    write_mp4(tmp_path / "good.mp4", random_clip((2, 1), frames=12).frames, 8.0)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video")
    result = run("clips", "check", tmp_path, "--json")
    rows = {row["file"]: row for row in result.lines}
    assert result.code == 0
    assert list(rows) == ["empty.mp4", "good.mp4", "text.mp4"]
    assert {name: row["status"] for name, row in rows.items()} == {
        "good.mp4": "clip",
        "empty.mp4": "quarantined",
        "text.mp4": "quarantined",
    }
    good = rows["good.mp4"]
    assert (good["frames"], good["height"], good["width"], good["fps"], good["reason"]) == (12, 128, 128, 8, "")
    assert "zero bytes" in rows["empty.mp4"]["reason"]
    for_people = run("clips", "check", tmp_path)
    assert "1 usable, 2 quarantined" in for_people.out


def test_clips_check_says_what_is_kept_and_what_it_is_called(run, tmp_path):
    frames = random_clip((2, 1), frames=12).frames
    write_mp4(tmp_path / "a.mp4", frames, 8.0)
    write_mp4(tmp_path / "b.mp4", frames[::-1], 8.0)
    (tmp_path / "b.txt").write_text("a short caption")
    lines = ["file,caption,motion,start,end", "a.mp4,a ball,跑,2,11", ",no file,,,", "c.mp4,,,,"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    rows = {row["file"]: row for row in run("clips", "check", tmp_path, "--json").lines}
    a = rows["a.mp4"]
    assert (a["kept"], a["motion"], a["caption_from"]) == ([[2, 11]], "跑", "manifest.csv")
    counts = {"a.mp4": 1, "b.mp4": 0, "c.mp4": 1, "manifest.csv, line 3": 1}
    assert {file: row["manifest_rows"] for file, row in rows.items()} == counts
    text = run("clips", "check", tmp_path).out
    for words in ("a ball (manifest.csv)", "a short caption (b.txt)", "2-11", "跑", "names no file"):
        assert words in text
    assert "2 usable, 2 quarantined; 3 lines of the manifest" in text


def test_a_folder_without_clips_is_said(run, tmp_path):
    (tmp_path / "readme.txt").write_text("no clips")
    result = run("clips", "check", tmp_path, "--json")
    assert result.code == 1 and result.out == "" and "has no clips" in result.err


ADAPTER = str(Path(__file__).parent)
GENERATE = ("generate", "--prompt", "a car", "--out", "video.mp4")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("clips", "check", "no/such/place"), "no/such/place"),
        (("packs", "check", "no-such-pack"), "no-such-pack"),
        (("generate", "--prompt", "a car", "--masks", "x.npz", "--out", "video.avi"), "should end in .mp4"),
        ((*GENERATE, "--masks", "x.npz"), "x.npz does not exist; give --masks a file"),
        ((*GENERATE, "--masks", __file__, "--adapter", ADAPTER), "cli is no adapter, since it has no config.json"),
        ((*GENERATE, "--alpha", "nan"), "--alpha: Input should be a finite number"),
        ((*GENERATE, "--steps", str(10**9)), "--steps: Input should be less than or equal to 1000"),
        ((*GENERATE, "--seed", str(2**63)), "Invalid value for '--seed'"),
        ((*GENERATE, "--fit", "nope"), "Invalid value for '--fit': 'nope' is not one of 'crop', 'pad', 'stretch'"),
        (("studio", "--folder", __file__, "--no-open"), "is a file; give --folder a folder"),
        (("studio", "--adapters", __file__, "--no-open"), "is a file; give --adapters a folder"),
        (("train", "nowhere", "--out", "adapter"), "nowhere does not exist; give CLIPS"),
        (("train", ".", "--out", "adapter", "--steps", "-1"), "--steps: Input should be greater than or equal to 1"),
        (("masks", "extract", "gone.mp4", "--out", "m"), "gone.mp4 does not exist; give PATH"),
        (("masks", "from-text", "a dog runs", "--out", "m.npz", "--shape", "gone.png"), "give --shape"),
        (("masks", "check", "gone"), "gone do not exist"),
        (("metrics", "gone.mp4"), "gone.mp4 does not exist; give VIDEOS"),
        (("report", "gone", "--requests", "r.csv", "--out", "r"), "gone does not exist; give VIDEOS"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(run, arguments, sentence):
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("mvmodel: ")
    assert sentence in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--pack", "nope", "no model pack 'nope'"),
        ("--size", "33", "multiples of 32"),
        ("--segmenter", "nope", "no segmenter 'nope'"),
        ("--segmenter", "sam_vit_h", "run `mvmodel packs pull sam_vit_h`"),
    ],
)
def test_train_refuses_wrong_names_before_it_imports_models(run, tmp_path, monkeypatch, option, value, sentence):
    monkeypatch.setenv("MVMODEL_HOME", str(tmp_path / "no-segmenters"))
    monkeypatch.setitem(sys.modules, "mvmodel.backends.load", None)  # an import of it fails
    result = run("train", tmp_path, "--out", tmp_path / "adapter", option, value)
    assert result.code == 2 and sentence in result.err and len(result.err.splitlines()) == 1


def test_an_option_out_of_range_is_named(run, small_pack_folder, masks, tmp_path):
    result = run(
        *("generate", "--prompt", "a car", "--masks", masks, "--out", tmp_path / "v.mp4"),
        *("--pack", small_pack_folder, "--alpha", "1.5"),
    )
    assert result.code == 2
    assert result.err.startswith("mvmodel: --alpha:")


def test_masks_or_instances_and_nothing_in_between(run, small_pack_folder, masks, clip, tmp_path):
    from mvmodel.masks import MaskSequence

    common = ("generate", "--prompt", "a car and a ball", "--out", tmp_path / "v.mp4", "--pack", small_pack_folder)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "config.json").write_text("{}")
    common = (*common, "--adapter", tmp_path / "adapter")
    MaskSequence(clip.masks[:3]).save(tmp_path / "three.npz")
    for options, sentence in [
        ((), "give the masks with --masks, or those of each object with --instance"),
        (("--masks", masks, "--instance", f"a car={masks}"), "not both"),
        (("--instance", "a car"), "should look like"),
        (("--instance", f"a car={masks}", "--instance", f"a ball={tmp_path / 'three.npz'}"), "a car 4, a ball 3"),
    ]:
        result = run(*common, *options)
        assert result.code == 2
        assert sentence in result.err
    assert not (tmp_path / "v.mp4").exists()


def test_first_frame_of_a_picture_or_a_video(video, tmp_path):
    from PIL import Image

    from mvmodel.errors import InputError
    from mvmodel.generation.first_frame_fit import fit_first_frame, read_first_frame
    from mvmodel.masks import MaskSequence
    from mvmodel.picture_size import PictureSize
    from mvmodel.video.frames import read_frames

    size, masks = PictureSize(64, 64), MaskSequence(np.ones((2, 64, 64), bool))
    frame, remark = fit_first_frame(read_first_frame(video, 2), size, masks)
    assert np.array_equal(frame, read_frames(video)[2]) and not remark
    with pytest.raises(InputError, match="4 frames and no frame 4"):
        read_first_frame(video, 4)
    Image.new("RGB", (40, 30)).save(tmp_path / "wide.png")
    assert fit_first_frame(read_first_frame(tmp_path / "wide.png"), size, masks)[1].endswith("by its middle 30x30")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        read_first_frame(tmp_path / "text.png")


def test_masks_are_never_written_over_other_things(run, video, tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    result = run("masks", "extract", video, "--out", tmp_path)
    assert result.code == 2
    assert (tmp_path / "precious.txt").read_text() == "keep me"


def test_doctor_says_what_is_there(run):
    rows = {row["name"]: row for row in run("doctor", "--json").json}
    assert rows["Python"]["ok"]
    assert rows["H.264 encoder"]["ok"]
    assert all(row["ok"] or row["fix"] or not row["required"] for row in rows.values())


def test_packs_list_names_every_pack_with_its_folder(run, small_pack_folder, monkeypatch):
    monkeypatch.setattr("mvmodel.packs.info.SHIPPED_PACKS", small_pack_folder.parent)
    (row,) = run("packs", "list", "--json").json
    assert row["name"] == "small"
    assert row["random"] is True


def test_metrics_of_any_video(run, video, masks, small_pack_folder):
    result = run("metrics", video, video, "--masks", masks, "--prompt", "a car", "--pack", small_pack_folder, "--json")
    assert result.code == 0, result.err
    first, second, together = result.lines
    assert first["flicker"] == second["flicker"]
    assert together["diversity"] == pytest.approx(1, abs=1e-4)
    assert first["frames"] == 4
    assert {"iou", "iou_prompted", "consistency", "alignment", "flicker", "colour_drift"} <= set(first)
    assert "all pairs" in first["convention"]["consistency"]
    assert len(first["scorer_weights"]) == 64
    assert first["random"] is True
    bare = run("metrics", video, "--pack", small_pack_folder, "--json").lines[0]
    assert "iou" not in bare
    assert "consistency" in bare


def test_generate_does_not_replace_what_it_is_made_from(run, video, small_pack_folder):
    before = video.read_bytes()
    result = run("generate", "--prompt", "a car", "--masks", video, "--out", video, "--pack", small_pack_folder)
    assert result.code == 2
    assert "give another --out" in result.err
    assert video.read_bytes() == before


def test_metrics_refuses_masks_of_another_length(run, video, small_pack_folder, tmp_path, clip):
    from mvmodel.masks import MaskSequence

    MaskSequence(clip.masks[:3]).save(tmp_path / "three.npz")
    result = run("metrics", video, "--masks", tmp_path / "three.npz", "--pack", small_pack_folder)
    assert result.code == 2
    assert "3 masks" in result.err


@pytest.mark.slow
def test_masks_extract_writes_one_mask_a_frame_at_the_sources_size(run, video, tmp_path):
    from PIL import Image

    out = tmp_path / "masks"
    result = run(
        *(
            "masks",
            "extract",
            video,
            "--out",
            out,
            "--pack",
            "tiny",
            "--json",
            "--preview",
            tmp_path / "p.mp4",
        )
    )
    assert result.code == 0, result.err
    files = sorted(out.iterdir())
    assert [file.suffix for file in files] == [".png"] * 4
    picture = np.asarray(Image.open(files[0]))
    assert picture.shape == (64, 64)
    assert set(np.unique(picture)) <= {0, 255}
    assert {"coverage", "jitter", "confidence", "weak"} <= set(result.json)
    assert (tmp_path / "p.mp4").stat().st_size > 0


@pytest.mark.slow
def test_train_then_generate_twice_gives_the_same_bytes(run, small_pack_folder, masks, clip, tmp_path):
    from mvmodel.masks import MaskSequence

    footage = tmp_path / "clips"
    for number in range(2):
        rendered = random_clip((3, number), frames=8, side=64, motion="glide", objects=("car",), pan=0)
        write_mp4(footage / f"c{number}.mp4", rendered.frames, 8.0)
        (footage / f"c{number}.txt").write_text(rendered.caption)
        MaskSequence(rendered.masks).save(footage / f"c{number}.masks.npz")
    training = run("train", footage, "--out", tmp_path / "a", "--steps", 2, "--pack", small_pack_folder, "--json")
    assert training.code == 0, training.err
    assert training.json["clips"] == ["c0", "c1"]
    assert training.json["config"]["init_from"] is None  # the pack ships no start adapter
    records = []
    for name in ("one.mp4", "two.mp4"):
        result = run(
            *("generate", "--prompt", "a car", "--masks", masks, "--out", tmp_path / name, "--seed", 3, "--steps", 2),
            *("--adapter", training.json["adapter"], "--pack", small_pack_folder, "--json"),
        )
        assert result.code == 0, result.err
        records.append(result.json)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    assert (tmp_path / "one.frames.npz").exists()
    assert {key: value for key, value in records[0].items() if key != "out"} == {
        key: value for key, value in records[1].items() if key != "out"
    }
    assert records[0]["seed"] == 3
    assert records[0]["config"]["steps"] == 2
    assert records[0]["pack_hash"]
    assert not list(tmp_path.glob(".*.mp4.*")), "the working folder is gone"
    assert "trained part" in training.err
    refused = run(
        *("generate", "--prompt", "a car", "--instance", f"a dog={masks}", "--out", tmp_path / "x.mp4"),
        *("--adapter", training.json["adapter"], "--pack", small_pack_folder),
    )
    assert refused.code == 2 and "does not contain 'a dog'" in refused.err
    assert not list(tmp_path.glob(".x.mp4.*"))
    two = run(
        *("generate", "--prompt", "a car", "--instance", f"a car={masks}", "--out", tmp_path / "three.mp4"),
        *("--seed", 3, "--steps", 2, "--adapter", training.json["adapter"], "--pack", small_pack_folder, "--json"),
    )
    assert two.code == 0, two.err
    assert two.json["instances"] == ["a car"]
    assert (tmp_path / "three.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes(), "one object is Eq. 7"
    sane = run("train", footage, "--out", tmp_path / "s", "--sanity", "--pack", small_pack_folder, "--json")
    assert sane.code == (0 if sane.json["passed"] else 1)
    assert sane.json["before"] > 0 and sane.json["needed"] == 0.2


@pytest.mark.slow
def test_report_of_a_folder_of_videos(run, small_pack_folder, clip, tmp_path):
    from mvmodel.masks import MaskSequence

    MaskSequence(clip.masks).save(tmp_path / "car.npz")
    (tmp_path / "requests.csv").write_text("motion,prompt,masks,seed,name\nglide,a car in the snow,car.npz,1,r1\n")
    for condition in ("full", "no_mask"):
        (tmp_path / "videos" / condition).mkdir(parents=True)
        np.savez_compressed(tmp_path / "videos" / condition / "r1.npz", frames=clip.frames)
    result = run(
        *("report", tmp_path / "videos", "--requests", tmp_path / "requests.csv", "--out", tmp_path / "out"),
        *("--pack", small_pack_folder),
    )
    assert result.code == 0, result.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a car in the snow" in page
    assert "was never trained" in page
    assert (tmp_path / "out" / "metrics.csv").read_text().startswith("condition,name,prompt,seed,iou")
    (tmp_path / "empty").mkdir()
    empty = run(
        "report",
        tmp_path / "empty",
        "--requests",
        tmp_path / "requests.csv",
        "--out",
        tmp_path / "o",
        "--pack",
        small_pack_folder,
    )
    assert empty.code == 2
    assert "has no video" in empty.err

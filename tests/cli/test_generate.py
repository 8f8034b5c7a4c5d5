"""`mvmodel generate`: settings files, formats, several videos in one call, and the same bytes from every side."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.cli import main
from mvmodel.generation.request_table import read_requests
from mvmodel.generation.requests import first_frames
from mvmodel.generation.video_job import VideoJob
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks
from mvmodel.packs import load_pack
from mvmodel.video.frames import read_frames
from mvmodel.video.video_files import write_video
from mvmodel.workers import Workers

QUICK = ("--steps", 1, "--set", "first_frame_steps=1")


@pytest.fixture
def common(small_pack_folder, random_adapter) -> tuple[object, ...]:
    return ("--pack", small_pack_folder, "--adapter", random_adapter, *QUICK)


@pytest.fixture
def make(run, common, masks, tmp_path):
    """`make("v.mp4", ...)` -> the record of a video that follows the masks of the clip."""

    def make_one(name: str, *options: object) -> dict:
        result = run(
            "generate", "--prompt", "a car", "--masks", masks, "--out", tmp_path / name, *common, *options, "--json"
        )
        assert result.code == 0, result.err
        return result.json

    return make_one


@pytest.fixture(scope="module")
def one(tmp_path_factory, small_pack_folder, random_adapter, masks) -> Path:
    """A video with a photograph as first frame, which is gone since, and what was printed of it."""
    folder = tmp_path_factory.mktemp("one")
    Image.new("RGB", (90, 40), (200, 30, 30)).save(folder / "photo.png")
    inputs = ("--prompt", "a car", "--masks", masks, "--out", folder / "one.mp4", "--first-frame", folder / "photo.png")
    models = ("--pack", small_pack_folder, "--adapter", random_adapter, *QUICK)
    options = ("--seed", 5, "--negative-prompt", "rain", "--no-mask-term", "--json")
    printed = io.StringIO()
    with pytest.raises(SystemExit), contextlib.redirect_stdout(printed):
        main([str(word) for word in ("generate", *inputs, *models, *options)])
    (folder / "printed.json").write_text(printed.getvalue())
    shutil.copy(folder / "photo.png", folder / "kept.png")
    return folder


def test_a_settings_file_makes_the_same_video_again(run, one, tmp_path):
    (one / "photo.png").unlink(missing_ok=True)
    again = run("generate", "--settings", one / "one.settings.json", "--out", tmp_path / "two.mp4", "--json")
    assert again.code == 0, again.err
    assert (tmp_path / "two.mp4").read_bytes() == (one / "one.mp4").read_bytes()
    assert json.loads((one / "printed.json").read_text())["sha256"] == again.json["sha256"]


def test_what_generate_printed_is_a_settings_file_that_options_change(run, one, tmp_path):
    shutil.copy(one / "kept.png", one / "photo.png")
    options = ("--seed", 6, "--out", tmp_path / "two.mp4", "--json")
    other = run("generate", "--settings", one / "printed.json", *options)
    assert other.code == 0, other.err
    assert (other.json["seed"], other.json["negative_prompt"], other.json["mask_term"]) == (6, "rain", False)
    assert (tmp_path / "two.mp4").read_bytes() != (one / "one.mp4").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pack_hash": "0" * 64}, "the model pack is not the one"),
        ({"adapter_sha256": "0" * 64}, "the adapter is not the one"),
        ({"promt": "a dog"}, "no setting 'promt'"),
        ({"masks": "gone.npz"}, "names gone.npz, which does not exist"),
        ({"config": {"stepz": 3}}, "did you mean 'config.steps'"),
    ],
)
def test_settings_that_would_give_another_video_are_refused(run, one, tmp_path, change, sentence):
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(json.loads((one / "one.settings.json").read_text()) | change))
    result = run("generate", "--settings", file, "--out", tmp_path / "two.mp4")
    assert result.code == 2 and sentence in result.err
    assert not (tmp_path / "two.mp4").exists()


def test_damaged_masks_in_a_settings_file_are_refused(run, one, tmp_path):
    content = json.loads((one / "one.settings.json").read_text())
    content["masks"]["data"] = content["masks"]["data"][:-8] + "AAAAAAA="
    (tmp_path / "one.settings.json").write_text(json.dumps(content))
    result = run("generate", "--settings", tmp_path / "one.settings.json", "--out", tmp_path / "two.mp4")
    assert result.code == 2 and "masks is not what its hash says" in result.err


def test_the_ending_chooses_the_format_and_the_preview_stands_beside(make, tmp_path):
    make("v.gif", "--preview", tmp_path / "p.webp")
    frames = read_frames(tmp_path / "v.frames.npz")
    assert read_frames(tmp_path / "v.gif").shape == frames.shape
    assert read_frames(tmp_path / "p.webp").shape == (len(frames), 64, 128, 3)
    make("pngs")
    assert [path.name for path in sorted((tmp_path / "pngs").iterdir())] == [f"{n:05d}.png" for n in range(4)]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "pngs" / "00003.png")), frames[3])


@pytest.mark.parametrize("name", ["v.mp4", "v.webm", "v.gif", "v.webp"])
def test_every_format_has_all_frames_at_their_rate_and_the_same_bytes(tmp_path, clip, name):
    first = write_video(tmp_path / name, clip.frames, 8.0).read_bytes()
    assert write_video(tmp_path / f"again-{name}", clip.frames, 8.0).read_bytes() == first
    frames = read_frames(tmp_path / name)
    assert frames.shape == clip.frames.shape
    assert np.abs(frames.astype(int) - clip.frames).mean() < 8


def test_several_seeds_and_a_table_in_one_call(run, make, common, tmp_path, clip):
    records = make("v.mp4", "--seed", 1, "--seed", 2)
    assert [Path(record["out"]).name for record in records] == ["v-1.mp4", "v-2.mp4"]
    MaskSequence(clip.masks).save(tmp_path / "table" / "m.npz")
    table = tmp_path / "table" / "requests.csv"
    rows = ("a,glide,a car,m.npz,1", "b,glide,a car,gone.npz,1", "c,glide,a car,m.npz | flip,1")
    table.write_text("\n".join(("name,motion,prompt,masks,seed", *rows)))
    result = run("generate", "--requests", table, "--out", tmp_path / "videos", *common, "--json")
    assert result.code == 1 and "b.mp4" in result.err and "gone.npz" in result.err
    assert [Path(record["out"]).name for record in result.json] == ["a.mp4", "c.mp4"]
    assert (tmp_path / "videos" / "a.mp4").read_bytes() == (tmp_path / "v-1.mp4").read_bytes()
    refused = run("generate", "--requests", table, "--prompt", "a car", "--out", tmp_path / "w", *common)
    assert refused.code == 2 and "--requests has its own prompts" in refused.err


@pytest.mark.parametrize(("setting", "sentence"), [("stepz=2", "did you mean steps?"), ("alpha=7", "--alpha")])
def test_a_setting_that_is_not_there_is_refused_with_the_nearest(run, common, masks, tmp_path, setting, sentence):
    inputs = ("--prompt", "a car", "--masks", masks, "--out", tmp_path / "v.mp4")
    result = run("generate", *inputs, *common, "--set", setting)
    assert result.code == 2 and sentence in result.err


def test_command_line_library_and_pipeline_give_the_same_bytes(
    make, small_pack_folder, random_adapter, masks, tmp_path
):
    from pipelines.assets.generation import ADAPTERS, _generate_conditions
    from pipelines.store.version_store import VersionStore

    make("cli.mp4", "--seed", 4)
    pack = load_pack(small_pack_folder)
    config = GenerationConfig(steps=1, first_frame_steps=1).for_pack(pack.info)
    sequence = read_masks(masks)
    job = VideoJob(pack, load_backend(pack), "a car", sequence, config, random_adapter, seed=4)
    files = job.run(tmp_path / "job")
    assert files.video.read_bytes() == (tmp_path / "cli.mp4").read_bytes()

    sequence.save(tmp_path / "masks" / "v.npz")
    (tmp_path / "requests.csv").write_text("name,motion,prompt,masks,seed\nv,glide,a car,masks/v.npz,4\n")
    (tmp_path / ADAPTERS["tuned"]).parent.mkdir()
    (tmp_path / ADAPTERS["tuned"]).symlink_to(random_adapter)
    resource = SimpleNamespace(backend=lambda: load_backend(pack), get_workers=Workers)
    context = SimpleNamespace(log=SimpleNamespace(info=print), partition_key="glide")
    table = tmp_path / "requests.csv"
    pictures = first_frames(resource.backend(), read_requests(table), config, tmp_path / "first")
    store = VersionStore(str(tmp_path / "store"), tmp_path / "work")
    _generate_conditions(context, resource, {"full": None}, tmp_path, table, pictures, config, tmp_path / "out", store)
    assert (tmp_path / "out" / "full" / "v.mp4").read_bytes() == (tmp_path / "cli.mp4").read_bytes()


def test_train_takes_every_setting_from_a_file_or_an_option(run, tmp_path, clip, small_pack_folder):
    from mvmodel.video.encode import write_mp4

    write_mp4(tmp_path / "clips" / "car.mp4", clip.frames, 8.0)
    MaskSequence(clip.masks).save(tmp_path / "clips" / "car.masks.npz")
    (tmp_path / "clips" / "car.txt").write_text("a car")
    (tmp_path / "train.yaml").write_text("training:\n  steps: 50\n  ema: 0.5\n  warmup: 0\n")
    result = run(
        *("train", tmp_path / "clips", "--out", tmp_path / "a", "--pack", small_pack_folder, "--json"),
        *("--config", tmp_path / "train.yaml", "--set", "steps=1", "--set", "mask_width=4", "--set", "init_from=null"),
    )
    assert result.code == 0, result.err
    config = result.json["config"]
    assert (config["steps"], config["ema"], config["mask_width"]) == (1, 0.5, 4)
    (tmp_path / "train.yaml").write_text("training:\n  stepz: 50\n")
    result = run("train", tmp_path / "clips", "--out", tmp_path / "b", "--config", tmp_path / "train.yaml")
    assert result.code == 2 and "did you mean 'steps'" in result.err


def test_a_video_is_made_again_with_as_many_threads(make, run, tmp_path, monkeypatch):
    make("v.mp4")
    file = tmp_path / "v.settings.json"
    content = json.loads(file.read_text())
    assert content["threads"] == torch.get_num_threads()
    file.write_text(json.dumps({**content, "threads": 3}))
    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    assert run("generate", "--settings", file, "--out", tmp_path / "again.mp4").code == 0
    assert used == [3]

"""Request tables and batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.errors import InputError
from mvmodel.generation.request_table import read_requests
from mvmodel.generation.requests import Request, bind_instances, first_frames, generate, generate_video
from mvmodel.masks import MaskSequence
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.workers import Workers

QUICK = GenerationConfig(steps=2, first_frame_steps=2, batch=2)


@pytest.fixture
def backend(small_pack):
    return load_backend(small_pack)


@pytest.fixture
def requests(tmp_path: Path) -> list[Request]:
    rng = np.random.default_rng(0)
    items = []
    for number in range(2):
        file = tmp_path / f"m{number}.npz"
        MaskSequence(rng.random((3, 64, 64)) > 0.5).save(file)
        items.append(Request(name=f"v-{number}", motion="run", prompt="a horse", masks=file, seed=number))
    return items


@pytest.fixture
def adapter(small_pack, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    random_adapter = MotionMaskAdapter.for_unet(small_pack.unet(), mask_width=4)
    for parameter in random_adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    random_adapter.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_batch_writes_videos_resumes_and_repeats_bytes(backend, small_pack, adapter, requests, tmp_path):
    frames = first_frames(backend, requests, QUICK, tmp_path / "first")
    progress_calls: list[tuple[int, int]] = []
    out = generate(
        backend, adapter, requests, frames, QUICK, tmp_path / "a", progress=lambda *p: progress_calls.append(p)
    )
    assert progress_calls == [(1, 2), (2, 2)]
    settings = json.loads((out / "v-0.json").read_text())
    assert settings["seed"] == 0 and settings["mask_term"] and settings["pack_hash"] == small_pack.hash
    video = np.load(out / "v-0.npz")["frames"]
    assert video.shape == (3, 64, 64, 3) and video.dtype == np.uint8
    (out / "v-1.json").unlink()
    stamp = (out / "v-0.mp4").stat().st_mtime_ns
    progress_calls.clear()
    generate(backend, adapter, requests, frames, QUICK, out, progress=lambda *p: progress_calls.append(p))
    assert progress_calls == [(1, 1)] and (out / "v-0.mp4").stat().st_mtime_ns == stamp
    repeated = generate(backend, adapter, requests, frames, QUICK, tmp_path / "b")
    for name in ("v-0.mp4", "v-1.mp4"):
        assert (out / name).read_bytes() == (repeated / name).read_bytes()
    off = generate(backend, adapter, requests, frames, QUICK, tmp_path / "c", mask_term=False)
    assert not np.array_equal(np.load(off / "v-0.npz")["frames"], video)


def test_first_frames_are_passed_on_as_latents_until_the_picture_is_replaced(
    backend, adapter, requests, tmp_path, monkeypatch
):
    config = QUICK.model_copy(update={"first_frame_latents": True})
    plain = first_frames(backend, requests[:1], QUICK, tmp_path / "plain")
    frames = first_frames(backend, requests[:1], config, tmp_path / "first")
    assert (plain / "v-0.png").read_bytes() == (frames / "v-0.png").read_bytes()
    assert not list(plain.glob("*.npz")) and np.load(frames / "v-0.latents.npz")["latents"].shape == (4, 8, 8)
    seen = []
    original = type(backend).sample

    def spy(self, *arguments, **options):
        seen.append(options.get("first_latents"))
        return original(self, *arguments, **options)

    monkeypatch.setattr(type(backend), "sample", spy)
    videos = [
        np.load(generate(backend, adapter, requests[:1], folder, config, tmp_path / name) / "v-0.npz")["frames"]
        for folder, name in ((frames, "a"), (plain, "b"))
    ]
    assert np.array_equal(videos[0][0], videos[1][0]) and not np.array_equal(videos[0], videos[1])
    Image.fromarray(255 - videos[0][0]).save(frames / "v-0.png")
    generate(backend, adapter, requests[:1], frames, config, tmp_path / "c")
    assert [latents is None for latents in seen] == [False, True, True]


def test_long_requests_are_made_in_windows_that_a_kill_leaves(backend, adapter, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    MaskSequence(rng.random((9, 64, 64)) > 0.5).save(tmp_path / "long.npz")
    request = Request(name="long", motion="run", prompt="a horse", masks=tmp_path / "long.npz")
    config = QUICK.model_copy(update={"window": 4, "overlap": 1})
    frames = first_frames(backend, [request], config, tmp_path / "first")
    unbroken = generate(backend, adapter, [request], frames, config, tmp_path / "whole")
    assert not list(unbroken.glob(".*.windows"))
    picture = np.asarray(Image.open(frames / "long.png").convert("RGB"))
    single = generate_video(backend, adapter, "a horse", MaskSequence.load(request.masks), picture, config, 0)
    assert np.array_equal(single, np.load(unbroken / "long.npz")["frames"])

    from mvmodel.backends.image_unet import long_video

    original, count = long_video._generate_window, []

    def cut(*inputs):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return original(*inputs)

    monkeypatch.setattr(long_video, "_generate_window", cut)
    with pytest.raises(KeyboardInterrupt):
        generate(backend, adapter, [request], frames, config, tmp_path / "cut")
    assert (tmp_path / "cut" / ".long.windows" / "state.npz").exists()
    cut_off = generate(backend, adapter, [request], frames, config, tmp_path / "cut")
    assert len(count) < 3 + len(long_video.plan_windows(9, config))
    assert (cut_off / "long.mp4").read_bytes() == (unbroken / "long.mp4").read_bytes()


def test_named_instances_are_bound_to_the_prompt(backend, adapter, tmp_path):
    masks = np.zeros((2, 3, 64, 64), bool)
    masks[0, :, :, :30] = masks[1, :, 20:50, 34:] = True
    videos = {}
    for key, names in {"bound": ("a dog", "a red ball"), "swapped": ("a red ball", "a dog"), "one": ()}.items():
        MaskSequence.from_instances(masks, names=names).save(tmp_path / f"{key}.npz")
        request = Request(name=key, motion="", prompt="a dog and a red ball", masks=tmp_path / f"{key}.npz")
        frames = first_frames(backend, [request], QUICK, tmp_path / "first")
        out = generate(backend, adapter, [request], frames, QUICK, tmp_path / "videos")
        videos[key] = np.load(out / f"{key}.npz")["frames"]
        assert json.loads((out / f"{key}.json").read_text())["instances"] == list(names)
    assert not np.array_equal(videos["bound"], videos["swapped"]) and not np.array_equal(videos["bound"], videos["one"])


def test_names_are_bound_only_if_all_of_them_are_words_of_the_prompt():
    masks = np.zeros((2, 2, 8, 8), bool)
    masks[0, :, :4], masks[1, :, 4:] = True, True

    def bound(names: tuple[str, ...], prompt: str) -> list[str] | None:
        instances = bind_instances(MaskSequence.from_instances(masks, names=names), prompt)
        return None if instances is None else [instance.words for instance in instances]

    assert bound(("dog", "ball"), "A Dog and a ball") == ["dog", "ball"]
    assert bound(("dog", "dog copy"), "two dogs, a dog") == ["dog", "dog"]
    assert bound(("dog", "dog 2"), "a dog") == ["dog", "dog"]
    assert bound(("dog", "cat"), "a dog in a category") is None
    assert bound(("dog", ""), "a dog") is None
    assert bind_instances(MaskSequence(masks[0]), "a dog") is None


def test_first_frame_depends_on_its_own_request_only(backend, requests, tmp_path):
    batched = first_frames(backend, requests, QUICK, tmp_path / "both")
    single = first_frames(backend, requests[1:], QUICK, tmp_path / "alone")
    from PIL import Image

    pictures = [np.asarray(Image.open(folder / "v-1.png"), int) for folder in (batched, single)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_workers_share_the_first_frames_that_are_missing(backend, requests, tmp_path):
    class TwoWorkers(Workers):
        calls: list[tuple[object, ...]] = []

        def map(self, function, calls):
            self.calls += calls
            return [function(*arguments) for arguments in calls]

    alone = first_frames(backend, requests, QUICK, tmp_path / "alone")
    workers = TwoWorkers(2)
    shared = first_frames(backend, requests, QUICK, tmp_path / "shared", workers=workers)
    assert [len(share) for _, share, *_ in workers.calls] == [1, 1]
    for name in ("v-0.png", "v-1.png"):
        pictures = [np.asarray(Image.open(folder / name), int) for folder in (alone, shared)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1  # a convolution rounds by the size of its batch
    first_frames(backend, requests, QUICK, shared, workers=workers)
    assert len(workers.calls) == 2


def test_table_is_read_relative_and_stays_inside(tmp_path, requests):
    table = tmp_path / "requests.csv"
    table.write_text("motion,prompt,masks,seed\nrun,a horse,m0.npz,3\nrun,a cat,m1.npz,4\n")
    read = read_requests(table)
    assert [r.name for r in read] == ["run-01", "run-02"] and read[0].masks == tmp_path / "m0.npz" and read[1].seed == 4
    table.write_text("motion,prompt,masks,seed\nrun,a horse,../m0.npz,3\n")
    with pytest.raises(InputError, match=r"line 2: \.\./m0.npz lies outside"):
        read_requests(table)
    table.write_text("motion,prompt,masks,seed\nrun,a horse,m0.npz,many\n")
    with pytest.raises(InputError, match="line 2: .*integer"):
        read_requests(table)
    table.write_text("motion,prompt\nrun,a horse\n")
    with pytest.raises(InputError, match="no column 'masks'"):
        read_requests(table)
    with pytest.raises(InputError, match=r"none.csv cannot be read"):
        read_requests(tmp_path / "none.csv")


def test_masks_that_cannot_be_used_are_refused(backend, requests, tmp_path):
    def refused(masks: np.ndarray, match: str) -> None:
        MaskSequence(masks).save(requests[0].masks)
        with pytest.raises(InputError, match=match):
            first_frames(backend, requests[:1], QUICK, tmp_path / "x")

    refused(np.zeros((3, 64, 64), bool), "m0.npz: the mask sequence is empty")
    late = np.ones((3, 64, 64), bool)
    late[0] = False
    refused(late, "the first mask is empty")
    requests[0].masks.write_bytes(b"nothing")
    with pytest.raises(InputError, match="m0.npz is not a mask sequence"):
        first_frames(backend, requests[:1], QUICK, tmp_path / "x")


def test_shipped_requests_are_apart_from_the_sample_clips(repository):
    from mvmodel.world.samples import SAMPLE_SCENES

    read = read_requests(repository / "datasets" / "prompts" / "requests.csv")
    for motion, cast in SAMPLE_SCENES.items():
        motion_requests = [r for r in read if r.motion == motion]
        assert len(motion_requests) >= 4
        for request in motion_requests:
            assert not any(f" {name} " in f" {request.prompt} " for name, _ in cast), request.prompt

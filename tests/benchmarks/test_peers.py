"""Every peer runs on a random pack and gives a video; what is ours in them does what it says."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import peer_table, peer_training, peers
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet import backend as image_unet_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.cache import Cache
from mvmodel.experiments.bench import Motion
from mvmodel.experiments.cells import Task

pytestmark = pytest.mark.slow


class Same(torch.nn.Module):
    def forward(self, hidden: torch.Tensor, *rest: object) -> torch.Tensor:
        return hidden


@pytest.fixture
def motion() -> Motion:
    masks = np.zeros((4, 64, 64), bool)
    for index in range(4):
        masks[index, 20:36, 8 + 6 * index : 24 + 6 * index] = True
    frames = np.where(masks[..., None], np.uint8(220), np.uint8(40)).repeat(3, axis=-1)
    clip = TrainingClip("clip", frames, masks, "a horse gallops")
    return Motion("slide", [Task("one", "a horse gallops", masks, 1, ("horse",))], [clip])


def compare(pack, motion, generation, steps, folder):
    requests = [(task, motion.clips[0].frames) for task in motion.tasks]
    training = TrainConfig(steps=steps, init_from=None)
    return peers.compare_methods(pack, motion, requests, generation, training, Cache(folder))


def test_every_method_makes_a_video_and_a_row(small_pack, motion, tmp_path):
    generation = GenerationConfig(steps=3, first_frame_steps=2)
    rows = compare(small_pack, motion, generation, 1, tmp_path)
    assert [row["method"] for row in rows] == list(peers.METHODS)
    assert all(0 <= row["iou"] <= 1 and row["seconds_video"] >= 0 for row in rows)
    repeated = next(row for row in rows if row["method"] == "first_frame_repeated")
    assert repeated["consistency"] == pytest.approx(1, abs=1e-5)
    peers.write_rows(rows, tmp_path / "peers.csv", small_pack, generation, 1)
    assert len(pd.read_csv(tmp_path / "peers.csv")) == len(peers.METHODS)
    means, differences = peers.print_tables(tmp_path / "peers.csv", peers.DEFAULTS).split("minus the other methods")
    assert all(words in means for words, _ in peers.METHODS.values())
    assert all(words in differences for method, (words, _) in peers.METHODS.items() if method != peers.REFERENCE)
    earlier_rows = [{**rows[0], "iou": -1.0}, {**rows[0], "name": "earlier"}]
    peers.write_rows(rows[:2], tmp_path / "both.csv", small_pack, generation, 1, earlier_rows)
    both = peers.read_all_rows(tmp_path / "both.csv")
    assert [row["name"] for row in both] == ["earlier", "one", "one"] and both[1]["iou"] >= 0
    summary = peer_table.load_summary(tmp_path / "peers.csv", peers.DEFAULTS, peers.METHODS, peers.REFERENCE)
    assert [row["method"] for row in summary["rows"]] == list(peers.METHODS)
    folders = list(tmp_path.glob("peer_videos/*"))
    second_rows = compare(small_pack, motion, generation, 1, tmp_path)
    assert list(tmp_path.glob("peer_videos/*")) == folders and second_rows == rows


def test_a_run_that_was_stopped_after_a_training_does_not_train_again(small_pack, motion, tmp_path, monkeypatch):
    generation = GenerationConfig(steps=2, first_frame_steps=2).for_pack(small_pack.info)
    names = ("lamp_like", "animatediff")
    monkeypatch.setattr(peers, "METHODS", {name: peers.METHODS[name] for name in names})
    first = compare(small_pack, motion, generation, 2, tmp_path)
    pictures = [np.load(file)["frames"] for file in sorted(tmp_path.glob("peer_videos/*/video.npz"))]
    for kind in ("peer_videos", "peer_scores"):
        shutil.rmtree(tmp_path / kind)
    drawn = []
    monkeypatch.setattr(image_unet_backend, "draw_batch", lambda *a: drawn.append(a))
    second_rows = compare(small_pack, motion, generation, 2, tmp_path)
    assert drawn == []
    pictures_again = [np.load(file)["frames"] for file in sorted(tmp_path.glob("peer_videos/*/video.npz"))]
    assert all((one == other).all() for one, other in zip(pictures, pictures_again, strict=True))
    for one, other in zip(first, second_rows, strict=True):
        assert one["iou"] == other["iou"] and one["seconds_training"] == other["seconds_training"] > 0


def test_the_lamp_like_convolution_is_causal_leaves_frame_1_and_starts_as_nothing():
    from types import SimpleNamespace

    layer = peer_training._Convolved(Same(), 8)
    context = SimpleNamespace(frames=5)
    hidden = torch.randn(10, 8, 3, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(layer(hidden, context, "x"), hidden)
    torch.nn.init.normal_(layer.convolution.weight)
    before = layer(hidden, context, "x").unflatten(0, (2, 5))
    changed = hidden.clone().unflatten(0, (2, 5))
    changed[:, 3] += 1
    after = layer(changed.flatten(0, 1), context, "x").unflatten(0, (2, 5))
    assert torch.equal(before[:, 0], hidden.unflatten(0, (2, 5))[:, 0])
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_a_row_per_method_has_means_intervals_and_the_kind_of_method():
    figures = dict.fromkeys(peer_table.TABLE_METRICS, 0.5)
    videos = [{"method": method, "name": f"video-{n}", **figures} for method in ("ours", "cut_out") for n in range(3)]
    ours, cut_out = peer_table.summarize_methods([*videos, {**videos[0], "iou": 0.9}], peers.METHODS)
    assert (ours["ours"], ours["from_nothing"], ours["no_diffusion"]) == (True, False, False)
    assert (cut_out["ours"], cut_out["from_nothing"], cut_out["no_diffusion"]) == (False, False, True)
    assert ours["iou"] == pytest.approx(0.6) and ours["iou_interval"][0] < 0.6 < ours["iou_interval"][1]
    keys = ("iou", "iou_independent", "motion_cosine", "flicker", "colour_drift", "identity", "motion")
    assert all(key in cut_out and f"{key}_interval" in cut_out for key in keys)
    one = peer_table.summarize_methods(videos[:1], {"ours": peers.METHODS["ours"]})
    assert one[0]["iou"] == 0.5 and one[0]["iou_interval"] is None


def test_the_stored_rows_are_printed_as_json(capsys):
    peers.main(["--table", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {row["method"] for row in report["rows"] if row["from_nothing"]} >= {peers.REFERENCE, "ours_paper"}


def test_the_table_goes_between_the_pages_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{peer_table.MARKS[0]}\nold\n{peer_table.MARKS[1]}\nbelow\n")
    for text in ("new", "newer"):
        peers.replace_table(page, text)
    assert page.read_text() == f"above\n{peer_table.MARKS[0]}\nnewer\n{peer_table.MARKS[1]}\nbelow\n"
    assert all(mark in peers.PAGE.read_text() for mark in peer_table.MARKS)

"""Which segmenter makes the masks: the pack's own, the next one where its masks are weak, or one that is named."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mvmodel.errors import PackError
from mvmodel.segmentation import downloads, selection
from mvmodel.segmentation.segmenter import MaskCandidate
from mvmodel.segmentation.selection import NamedSegmenter, SegmenterChoice, choose_segmenters


class ThresholdSegmenter:
    """Answers every prompt with the bright pixels, or with nothing."""

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind

    def encode(self, frames: np.ndarray) -> list[np.ndarray]:
        return [np.zeros(frame.shape[:2], bool) if self.blind else frame[..., 0] > 128 for frame in frames]

    def predict(self, encoding: np.ndarray, *_: object, **__: object) -> tuple[np.ndarray, np.ndarray]:
        return encoding[None], np.array([0.9])

    def automatic(self, encoding: np.ndarray, **_: object) -> list[MaskCandidate]:
        return [MaskCandidate(encoding, 0.9, 0.9, (0, 0, 1, 1))] if encoding.any() else []


@pytest.fixture(autouse=True)
def _use_the_real_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MVMODEL_U2NETP", raising=False)


class FakePack:
    device = "cpu"

    def segmenter(self) -> ThresholdSegmenter:
        return ThresholdSegmenter(blind=True)

    def knows_footage(self, frames: np.ndarray) -> bool:
        return True


def moving_square() -> np.ndarray:
    frames = np.full((5, 48, 64, 3), 30, np.uint8)
    for index, frame in enumerate(frames):
        frame[14:34, 8 + 6 * index : 28 + 6 * index] = 220
    return frames


def named(name: str, blind: bool) -> NamedSegmenter:
    return NamedSegmenter(name, name, lambda: ThresholdSegmenter(blind))


def test_the_first_segmenter_whose_masks_are_not_weak_is_taken():
    frames = moving_square()
    extraction, name = SegmenterChoice([named("blind", True), named("seeing", False)]).extract(frames)
    assert name == "seeing"
    assert np.array_equal(extraction.sequence.masks, frames[..., 0] > 128)
    assert SegmenterChoice([named("first", False), named("second", False)]).extract(frames)[1] == "first"
    weak, _ = SegmenterChoice([named("one", True), named("two", True)]).extract(frames)
    assert weak.quality.weak


def test_the_packs_own_segmenter_is_tried_last_on_footage_that_the_pack_does_not_know():
    segmenters = [named("pack", False), named("other", False)]
    frames = moving_square()
    assert SegmenterChoice(segmenters, lambda frames: True).extract(frames)[1] == "pack"
    assert SegmenterChoice(segmenters, lambda frames: False).extract(frames)[1] == "other"
    assert SegmenterChoice(segmenters[:1], lambda frames: False).extract(frames)[1] == "pack"


def test_auto_takes_the_pack_first_and_then_the_best_that_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(downloads, "segmenters_folder", lambda: tmp_path)
    monkeypatch.setattr(downloads, "_find_carried_u2netp", lambda: None)
    assert list(choose_segmenters("auto", FakePack()).recipe) == ["pack"]
    assert list(choose_segmenters("pack", FakePack(), "weights").recipe.items()) == [("pack", "weights")]
    with pytest.raises(PackError, match="mvmodel packs pull sam_vit_b"):
        choose_segmenters("sam_vit_b", FakePack())
    with pytest.raises(PackError, match="no segmenter 'sam_b'"):
        choose_segmenters("sam_b", FakePack())


def test_another_file_under_a_published_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(downloads, "segmenters_folder", lambda: tmp_path)
    (tmp_path / "u2netp.onnx").write_bytes(b"something else")
    with pytest.raises(PackError, match="not the published u2netp"):
        choose_segmenters("u2netp", FakePack())
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"something else")
    with pytest.raises(PackError, match="damaged"):
        choose_segmenters("sam_vit_b", FakePack())


def test_a_path_is_recorded_with_its_hash_and_refused_if_it_is_no_segmenter(tmp_path: Path):
    own = tmp_path / "own.onnx"
    own.write_bytes(b"no network")
    (choice,) = choose_segmenters(str(own), FakePack()).segmenters
    assert choice.name.startswith("own.onnx ") and choice.name.split()[1] == choice.weights[:12]
    with pytest.raises(PackError, match=r"own\.onnx"):
        choice.load()
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(PackError, match="is no segmenter"):
        choose_segmenters(str(text), FakePack()).segmenters[0].load()
    checkpoint = tmp_path / "own.pth"
    checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(PackError, match=r"own\.pth"):
        choose_segmenters(str(checkpoint), FakePack()).segmenters[0].load()


def test_u2netp_is_found_in_its_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(downloads, "segmenters_folder", lambda: tmp_path)
    path = downloads.find_segmenter("u2netp")
    if path is None:
        pytest.skip("the wheel with U-2-Netp is not installed (make venv, Python 3.12 or older)")
    downloads.check_published("u2netp", path)
    assert selection.load_independent_segmenter() is not None


def test_a_download_that_fails_says_where_the_file_can_be_put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(downloads.urllib.request, "urlopen", unreachable)
    with pytest.raises(PackError, match=r"no route to host.*u2netp\.onnx"):
        downloads.pull_segmenter("u2netp", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_downloaded_repository_is_recorded_and_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Hub:
        def model_info(self, repository: str) -> SimpleNamespace:
            return SimpleNamespace(sha=f"commit of {repository}")

    def download(repository: str, revision: str, local_dir: Path, **_: object) -> None:
        (local_dir / "model.safetensors").write_text(f"{repository} at {revision}")

    monkeypatch.setattr(downloads, "HfApi", Hub)
    monkeypatch.setattr(downloads, "snapshot_download", download)
    folder = downloads.pull_segmenter("edgetam", tmp_path)
    record = json.loads((folder / downloads.ORIGIN_FILE).read_text())
    assert record["revision"] == f"commit of {record['repository']}"
    downloads.check_published("edgetam", folder)
    (folder / "model.safetensors").write_text("something else")
    with pytest.raises(PackError, match=r"model\.safetensors is missing or is not the file.*packs pull edgetam"):
        downloads.check_published("edgetam", folder)
    (folder / downloads.ORIGIN_FILE).unlink()
    downloads.check_published("edgetam", folder)

"""What in a folder is a clip, and what are its masks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmodel.video.containers import image_files
from mvmodel.video.sources import find_sources


def _write_frames(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


def _write_masks(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        mask = np.zeros((24, 32), np.uint8)
        mask[4:12, number : number + 8] = 255
        Image.fromarray(mask).save(folder / name)


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _numbered(pattern: str, count: int = 5) -> list[str]:
    return [pattern.format(number) for number in range(count)]


def _masks_by_name(folder: Path) -> dict[str, str]:
    sources, unused = find_sources(folder)
    assert not unused
    return {source.name: source.masks for source in sources}


@pytest.mark.parametrize("resolution", ["480p/", ""])
def test_davis_trees(tmp_path: Path, resolution: str) -> None:
    for name in ("bear", "camel"):
        _write_frames(tmp_path / f"DAVIS/JPEGImages/{resolution}{name}", _numbered("{:05d}.jpg"))
        _write_masks(tmp_path / f"DAVIS/Annotations/{resolution}{name}", _numbered("{:05d}.png"))
    assert _masks_by_name(tmp_path) == {
        f"DAVIS/JPEGImages/{resolution}{name}": f"DAVIS/Annotations/{resolution}{name}" for name in ("bear", "camel")
    }


@pytest.mark.parametrize(
    "masks",
    ["masks", "Mask", "annotations", "gt", "labels", "SegmentationObject", "SegmentationClass", "matte", "alpha"],
)
@pytest.mark.parametrize("frames", ["frames", "JPEGImages", "rgb"])
def test_folders_of_masks_beside_frames(tmp_path: Path, masks: str, frames: str) -> None:
    _write_frames(tmp_path / "bear" / frames, _numbered("{:05d}.jpg"))
    _write_masks(tmp_path / "bear" / masks, _numbered("{:05d}.png"))
    assert _masks_by_name(tmp_path) == {f"bear/{frames}": f"bear/{masks}"}


def test_a_folder_of_masks_for_several_videos(tmp_path: Path) -> None:
    for name in ("videos/a.mp4", "videos/b.mp4", "masks/a.mp4", "masks/B_mask.npz"):
        _touch(tmp_path / name)
    assert _masks_by_name(tmp_path) == {"videos/a.mp4": "masks/a.mp4", "videos/b.mp4": "masks/B_mask.npz"}


@pytest.mark.parametrize("suffix", [".npz", ".gif", ".mp4", ".mov", ".webm", ".json", ""])
@pytest.mark.parametrize("form", ["clip.masks", "clip_mask", "CLIP_Masks", "clip.mask"])
def test_masks_named_after_their_clip(tmp_path: Path, form: str, suffix: str) -> None:
    _touch(tmp_path / "clip.mp4")
    if suffix:
        _touch(tmp_path / f"{form}{suffix}")
        _touch(tmp_path / f"other_mask{suffix.upper()}")
        _touch(tmp_path / "other.MP4")
    else:
        _write_masks(tmp_path / form, _numbered("{:05d}.png"))
    assert _masks_by_name(tmp_path)["clip.mp4"] == f"{form}{suffix}"
    assert len(_masks_by_name(tmp_path)) == (2 if suffix else 1)


@pytest.mark.parametrize("pattern", ["{:05d}_mask.png", "mask_{:05d}.png", "{:05d}.png"])
def test_frames_and_masks_in_one_folder(tmp_path: Path, pattern: str) -> None:
    _write_frames(tmp_path / "bear", _numbered("{:05d}.jpg"))
    _write_masks(tmp_path / "bear", _numbered(pattern))
    assert _masks_by_name(tmp_path) == {"bear": "bear/" + pattern.replace("{:05d}", "%d")}
    assert find_sources(tmp_path)[0][0].path == tmp_path / "bear/%d.jpg"


def test_two_sequences_in_one_folder_are_two_clips(tmp_path: Path) -> None:
    for name in ("bear", "camel"):
        _write_frames(tmp_path / "shots", _numbered(name + "_{:04d}.png"))
        _write_masks(tmp_path / "shots", _numbered(name + "_{:04d}_mask.png"))
    assert _masks_by_name(tmp_path) == {
        f"shots/{name}_%d.png": f"shots/{name}_%d_mask.png" for name in ("bear", "camel")
    }


@pytest.mark.parametrize("pattern", ["{take}_{number:04d}.png", "{take}-{number:02d}.png", "{take}.{number:04d}.png"])
def test_a_prefix_of_digits_names_a_sequence(tmp_path: Path, pattern: str) -> None:
    """1_0001 is frame 1 of take 1, not a time of day and not a negative number."""
    names = [[pattern.format(take=take, number=number) for number in range(1, 13)] for take in (1, 2)]
    _write_frames(tmp_path / "shots", names[0] + names[1])
    sources, unused = find_sources(tmp_path)
    assert not unused
    assert [[path.name for path in image_files(source.path)] for source in sources] == names
    _write_frames(tmp_path / "one", names[0])
    (source,) = (source for source in find_sources(tmp_path)[0] if source.name == "one")
    assert [path.name for path in image_files(source.path)] == names[0]


def test_clock_times_are_one_sequence(tmp_path: Path) -> None:
    names = [f"00_{second // 60:02d}_{second % 60:02d}.png" for second in range(50, 75, 2)]
    _write_frames(tmp_path / "clock", names)
    (source,), _ = find_sources(tmp_path)
    assert [path.name for path in image_files(source.path)] == names


def _write_animation(path: Path, count: int = 5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(count).integers(0, 255, (count, 24, 32, 3), dtype=np.uint8)
    first, *others = [Image.fromarray(picture) for picture in noise]
    first.save(path, save_all=True, append_images=others, duration=80)


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tif", ".gif"])
def test_animated_pictures_are_clips_and_may_have_masks(tmp_path: Path, suffix: str) -> None:
    _write_animation(tmp_path / f"dog{suffix}")
    _write_animation(tmp_path / f"dog_mask{suffix}")
    _write_animation(tmp_path / f"cat{suffix}")
    assert _masks_by_name(tmp_path) == {f"cat{suffix}": "", f"dog{suffix}": f"dog_mask{suffix}"}


def test_a_folder_named_ground_truth_holds_masks_or_is_named(tmp_path: Path) -> None:
    _touch(tmp_path / "dog.mp4")
    _touch(tmp_path / "ground_truth" / "dog.npz")
    _touch(tmp_path / "ground_truth" / "cat.npz")
    (source,), (unused,) = find_sources(tmp_path)
    assert source.masks == "ground_truth/dog.npz"
    assert unused["file"] == "ground_truth/cat.npz" and "looks like masks" in unused["reason"]


def test_a_coco_file_in_a_folder_belongs_to_its_frames(tmp_path: Path) -> None:
    _write_frames(tmp_path / "train", _numbered("frame_{:04d}_jpg.rf.5f2c.jpg"))
    content = '{"images": [], "annotations": [{"segmentation": %s}]}'
    (tmp_path / "train" / "_annotations.coco.json").write_text(content % "[[1, 2, 3, 4, 5, 6]]")
    assert _masks_by_name(tmp_path) == {"train": "train/_annotations.coco.json"}
    (tmp_path / "train" / "_annotations.coco.json").write_text(content % "[]")
    assert _masks_by_name(tmp_path) == {"train": ""}, "boxes are no masks"


def test_masks_with_another_name_are_said(tmp_path: Path) -> None:
    for name in ("dog.mp4", "cat.mp4", "plain.json"):
        _touch(tmp_path / name)
    np.savez(tmp_path / "dog.npz", masks=np.ones((2, 4, 4), bool))
    np.savez(tmp_path / "features.npz", embeddings=np.ones(4))
    (tmp_path / "export.json").write_text('{"annotations": [{"segmentation": {"counts": "a"}}]}')
    (cat, dog), unused = find_sources(tmp_path)
    assert not unused and not cat.masks and not dog.masks
    assert cat.masks_note.startswith("export.json not taken")
    assert dog.masks_note.startswith("dog.npz, export.json not taken") and "dog.masks.*" in dog.masks_note


def test_masks_without_a_clip_are_named_and_never_clips(tmp_path: Path) -> None:
    _touch(tmp_path / "clip.mp4")
    _touch(tmp_path / "another_mask.mp4")
    _write_masks(tmp_path / "Annotations" / "horse", _numbered("{:05d}.png"))
    sources, unused = find_sources(tmp_path)
    assert [(source.name, source.masks) for source in sources] == [("clip.mp4", "")]
    assert [row["file"] for row in unused] == ["Annotations/horse", "another_mask.mp4"]
    assert all("looks like masks" in row["reason"] for row in unused)


def test_masks_that_are_not_taken_are_named(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.masks.npz", "clip_mask.mp4"):
        _touch(tmp_path / name)
    (source,), unused = find_sources(tmp_path)
    assert (source.masks, unused) == ("clip.masks.npz", [])
    assert "clip_mask.mp4 not taken" in source.masks_note


def test_pictures_that_are_no_frames_are_named(tmp_path: Path) -> None:
    _write_frames(tmp_path / "bear", [*_numbered("{:05d}.jpg"), "poster.jpg"])
    sources, unused = find_sources(tmp_path)
    assert [source.path for source in sources] == [tmp_path / "bear/%d.jpg"]
    assert [row["file"] for row in unused] == ["bear/poster.jpg"]


def test_a_single_file_has_the_masks_beside_it(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.masks.npz", "other_mask.npz"):
        _touch(tmp_path / name)
    (source,), unused = find_sources(tmp_path / "clip.mp4")
    assert (source.masks, unused) == ("clip.masks.npz", [])


def test_names_that_are_not_utf8_are_quarantined_with_a_printable_name(tmp_path: Path) -> None:
    bad = os.fsdecode(b"caf\xe9")
    for name in ("a.mp4", f"{bad}.mp4", f"{bad}.txt", f"{bad}/b.mp4"):
        _touch(tmp_path / name)
    _write_frames(tmp_path / "frames", [f"{bad}{number}.png" for number in range(3)])
    sources, unused = find_sources(tmp_path)
    assert [source.name for source in sources] == ["a.mp4"]
    assert [row["file"] for row in unused] == [r"caf\xe9", r"caf\xe9.mp4", r"frames/caf\xe90.png"]
    assert all("its name is not UTF-8" in row["reason"] for row in unused)
    assert unused[-1]["reason"].endswith("(and those of 2 other pictures)")
    assert find_sources(tmp_path / f"{bad}.mp4") == ([], unused[1:2])


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    clips, elsewhere = tmp_path / "clips", tmp_path / "elsewhere"
    for path in (clips / "a.mp4", clips / "z/b.mp4", elsewhere / "deep/c.mp4"):
        _touch(path)
    (clips / "linked").symlink_to(elsewhere)
    (clips / "again").symlink_to(clips / "z")
    (clips / "z" / "loop").symlink_to(clips)
    (elsewhere / "deep" / "loop").symlink_to(elsewhere)
    sources, unused = find_sources(clips)
    assert [source.name for source in sources] == ["a.mp4", "linked/deep/c.mp4", "z/b.mp4"] and not unused

"""The user's masks: every form is read, every mistake is named."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks, write_masks
from mvmodel.masks.geometry import mask_iou
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.world.render import TRAIN, random_clip

CLIP = random_clip((TRAIN, 3), frames=8, side=64, motion="gallop", pan=0.0)
MASKS = CLIP.masks


def test_png_folder_grey_palette_and_zero_one(tmp_path: Path) -> None:
    write_png_folder(tmp_path / "grey", MASKS)
    for folder in ("palette", "ones", "alpha"):
        (tmp_path / folder).mkdir()
    for index, mask in enumerate(MASKS):
        palette = Image.fromarray(mask.astype(np.uint8), mode="P")
        palette.putpalette([0, 0, 0, 128, 0, 0])
        palette.save(tmp_path / "palette" / f"{index}.png")
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "ones" / f"{index}.png")
        white = np.full((64, 64, 3), 255, np.uint8)
        Image.fromarray(np.dstack([white, mask.astype(np.uint8) * 255])).save(tmp_path / "alpha" / f"{index}.png")
    for folder in ("grey", "palette", "ones", "alpha"):
        assert np.array_equal(read_masks(tmp_path / folder).masks, MASKS), folder


def test_npz_gif_and_mp4(tmp_path: Path) -> None:
    MaskSequence(MASKS, 12.0).save(tmp_path / "own.npz")
    own = read_masks(tmp_path / "own.npz")
    assert np.array_equal(own.masks, MASKS)
    assert own.fps == 12.0
    np.savez(tmp_path / "plain.npz", MASKS.astype(np.uint8) * 255)
    assert np.array_equal(read_masks(tmp_path / "plain.npz").masks, MASKS)
    pictures = [Image.fromarray(mask.astype(np.uint8) * 255) for mask in MASKS]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    assert np.array_equal(read_masks(tmp_path / "a.gif").masks, MASKS)
    write_mp4(tmp_path / "a.mp4", np.repeat(MASKS[..., None], 3, axis=3).astype(np.uint8) * 255, 8)
    assert mask_iou(read_masks(tmp_path / "a.mp4").masks, MASKS) > 0.97


def test_size_count_emptiness_polarity(tmp_path: Path) -> None:
    folder = write_png_folder(tmp_path / "m", MASKS)
    assert read_masks(folder, size=(32, 32)).masks.shape == (8, 32, 32)
    with pytest.raises(InputError, match="has 8 masks, the clip 9 frames"):
        read_masks(folder, frames=9)
    with pytest.raises(InputError, match="another shape"):
        read_masks(folder, size=(32, 64))
    with pytest.raises(InputError, match="no foreground"):
        read_masks(write_png_folder(tmp_path / "none", np.zeros_like(MASKS)))
    inverted = write_png_folder(tmp_path / "inverted", ~MASKS)
    with pytest.raises(InputError, match="inside out"):
        read_masks(inverted)
    assert np.array_equal(read_masks(inverted, polarity="black").masks, MASKS)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    (tmp_path / "bad.gif").write_bytes(b"")
    np.savez(tmp_path / "pickled.npz", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "shape.npz", np.zeros((4, 4), bool))
    for name, reason in {
        "empty": "no mask pictures", "bad.npz": "no readable .npz", "bad.gif": "zero bytes",
        "pickled.npz": "no readable .npz", "shape.npz": "frames, height, width", "gone": "do not exist",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=reason):
            read_masks(tmp_path / name)


TWO = random_clip((TRAIN, 5), frames=6, side=65, motion="glide", objects=("car", "dog"), pan=0.0)


@pytest.mark.parametrize("name", ["folder", "a.npz", "a.json", "a.gif", "a.mp4"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    """Twice the same frame in the middle: a GIF writer joins equal frames, which must not shorten the sequence."""
    instances = TWO.instances[:, [0, 1, 2, 2, 2, 5]]
    sequence = MaskSequence.from_instances(instances, 12.5, TWO.objects)
    loaded = read_masks(write_masks(tmp_path / name, sequence))
    assert loaded.frames == 6
    if name in ("a.npz", "a.json"):
        assert np.array_equal(loaded.per_instance, instances) and loaded.names == ("car", "dog") and loaded.fps == 12.5
    elif name == "a.mp4":
        assert loaded.masks.shape[1:] == (66, 66), "yuv420p has even sizes only"
        overlap = mask_iou(loaded.masks[:, :65, :65], sequence.masks)
        assert overlap >= 0.97 and loaded.fps == pytest.approx(12.5, rel=0.01)
    else:
        assert np.array_equal(loaded.masks, sequence.masks)
        assert loaded.fps == 12.5


def test_a_single_object_stays_one_through_coco(tmp_path: Path) -> None:
    loaded = read_masks(write_masks(tmp_path / "one.json", MaskSequence(MASKS, 8.0)))
    assert loaded.instances is None and np.array_equal(loaded.masks, MASKS)


def test_plain_run_lengths_and_polygons_are_read(tmp_path: Path) -> None:
    square = [[2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]]
    annotations = [
        {"image_id": 7, "segmentation": {"size": [8, 10], "counts": [16, 4, 60]}},
        {"image_id": 9, "segmentation": square},
    ]
    images = [{"id": 9, "height": 8, "width": 10}, {"id": 7, "height": 8, "width": 10}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    masks = read_masks(tmp_path / "a.json").masks
    assert masks.shape == (2, 8, 10)
    assert masks[0].sum() == 4 and masks[0, :4, 2].all(), "run lengths go down the columns"
    assert masks[1, 1:5, 2:6].all()


def test_mistakes_in_coco_and_in_names_are_one_sentence(tmp_path: Path) -> None:
    image = {"id": 1, "height": 8, "width": 10}
    wrong = {
        "no json": ("{", "no readable JSON"),
        "no images": ({"annotations": []}, "'images' is missing"),
        "two sizes": ({"images": [image, {"id": 2, "height": 9, "width": 10}], "annotations": []}, "has one"),
        "lost": ({"images": [image], "annotations": [{"image_id": 5, "segmentation": []}]}, "image 5"),
        "runs": (
            {"images": [image], "annotations": [{"image_id": 1, "segmentation": {"size": [8, 10], "counts": [3, 4]}}]},
            "add up to 7",
        ),
        "size": (
            {"images": [image], "annotations": [{"image_id": 1, "segmentation": {"size": [9, 9], "counts": "x"}}]},
            "9x9",
        ),
    }
    for name, (content, reason) in wrong.items():
        path = tmp_path / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(InputError, match=reason) as caught:
            read_masks(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "a.csv").write_text("a")
    with pytest.raises(InputError, match="is no mask sequence"):
        read_masks(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"ends in \.avi"):
        write_masks(tmp_path / "a.avi", MaskSequence(MASKS))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "precious.txt").write_text("keep me")
    with pytest.raises(InputError, match="other things than PNGs"):
        write_masks(tmp_path / "kept", MaskSequence(MASKS))


@pytest.mark.parametrize("name", ["folder", "a.npz", "a.json", "a.gif", "a.mp4"])
@pytest.mark.parametrize("fps", [6.0, 8.0, 24.0, 25.0, 30.0])
def test_the_frame_rate_stays(tmp_path: Path, name: str, fps: float) -> None:
    path = write_masks(tmp_path / name, MaskSequence(MASKS, fps))
    again = write_masks(tmp_path / f"again{path.suffix}", read_masks(path))
    assert read_masks(again).fps == fps


def test_a_rate_beside_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = write_png_folder(tmp_path / "m", MASKS)
    assert read_masks(folder).fps == 8.0
    for text in ("{", "[]", '{"fps": 0}', '{"fps": "fast"}'):
        (tmp_path / "m.fps.json").write_text(text)
        with pytest.raises(InputError, match="m.fps.json holds"):
            read_masks(folder)


def test_objects_that_a_file_cannot_keep_apart_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sequence = MaskSequence.from_instances(TWO.instances, 8.0, TWO.objects)
    write_masks(tmp_path / "a.npz", sequence)
    assert not caplog.text
    write_masks(tmp_path / "folder", sequence)
    assert "2 objects become one" in caplog.text


@pytest.mark.parametrize("name", ["masks", "bits"])
def test_an_archive_that_states_huge_arrays_is_refused_by_its_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (100_000, 1000, 1000)}
        )
    with pytest.raises(InputError, match=r"bomb\.npz .*more than the limit of 3\.0 GiB"):
        read_masks(path)


@pytest.mark.parametrize("shape", [(-1, 4, 4), (0, 4, 4), (9, 40, 40)])
def test_a_shape_that_does_not_fit_its_pixels_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "masks.npz"
    np.savez(path, bits=np.ones(8, np.uint8), shape=np.array(shape), fps=np.array(8.0))
    with pytest.raises(InputError, match="do not fit"):
        read_masks(path)

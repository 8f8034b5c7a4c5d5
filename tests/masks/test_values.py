"""What the values of mask pictures mean: objects by alpha, index, id, colour or grey level; void is no object."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks
from mvmodel.masks.labels import labels_from_grey

FRAMES, SIDE = 4, 48


def two_objects() -> np.ndarray:
    """Two discs that move apart, the second in front: bool (2, frames, height, width), disjoint."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    first = np.stack([(rows - 16) ** 2 + (columns - 14 - t) ** 2 <= 64 for t in range(FRAMES)])
    second = np.stack([(rows - 32) ** 2 + (columns - 30 + t) ** 2 <= 49 for t in range(FRAMES)])
    return np.stack([first & ~second, second])


OBJECTS = two_objects()
MASKS = OBJECTS.any(axis=0)


def labelled(*ids: int, dtype: type = np.uint8) -> np.ndarray:
    labels = np.zeros(MASKS.shape, dtype)
    for label, masks in zip(ids, OBJECTS, strict=True):
        labels[masks] = label
    return labels


def write_pictures(folder: Path, pictures, suffix: str = ".png") -> Path:
    folder.mkdir()
    for index, picture in enumerate(pictures):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(folder / f"{index:05d}{suffix}")
    return folder


def check_objects(sequence: MaskSequence, names: tuple[str, ...]) -> None:
    assert np.array_equal(sequence.masks, MASKS)
    assert sequence.names == names
    assert sequence.instances is not None and np.array_equal(sequence.instances, OBJECTS)


@pytest.mark.parametrize(
    ("ids", "dtype"),
    [((1, 2), "uint8"), ((100, 200), "uint8"), ((3, 77), "uint8"), ((1001, 2003), "uint16"), ((1, 40000), "uint16")],
)
def test_grey_ids_of_any_value_are_objects(tmp_path: Path, ids: tuple[int, int], dtype: str) -> None:
    labels = labelled(*ids, dtype=np.dtype(dtype).type)
    check_objects(read_masks(write_pictures(tmp_path / "m", labels)), tuple(map(str, ids)))
    np.savez(tmp_path / "m.npz", labels)
    check_objects(read_masks(tmp_path / "m.npz"), tuple(map(str, ids)))


@pytest.mark.parametrize(("void", "ids", "dtype"), [(255, (1, 2), np.uint8), (10000, (1001, 2003), np.uint16)])
def test_void_is_no_object(tmp_path: Path, void: int, ids: tuple[int, int], dtype: type) -> None:
    labels = labelled(*ids, dtype=dtype)
    labels[:, :6, :20] = void
    check_objects(read_masks(write_pictures(tmp_path / "m", labels)), tuple(map(str, ids)))


def test_void_as_an_outline_in_a_palette_and_around_one_object(tmp_path: Path) -> None:
    mask = OBJECTS[1]
    outline = np.stack([cv2.dilate(m.astype(np.uint8), np.ones((3, 3))) > 0 for m in mask]) & ~mask
    labels = np.where(outline, 255, mask).astype(np.uint8)
    assert np.array_equal(read_masks(write_pictures(tmp_path / "grey", labels)).masks, mask)
    pictures = [palette_picture(picture, voc_palette()) for picture in labels]
    assert np.array_equal(read_masks(write_pictures(tmp_path / "palette", pictures)).masks, mask)


def voc_palette() -> list[int]:
    colours = []
    for index in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        colours += channels
    return colours


def palette_picture(indices: np.ndarray, palette: list[int]) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8), mode="P")
    picture.putpalette(palette)
    return picture


def test_palette_pictures_by_index_and_voc_colours_by_their_index(tmp_path: Path) -> None:
    pictures = [palette_picture(labels, voc_palette()) for labels in labelled(1, 8)]
    check_objects(read_masks(write_pictures(tmp_path / "palette", pictures)), ("1", "8"))
    colours = [picture.convert("RGB") for picture in pictures]
    check_objects(read_masks(write_pictures(tmp_path / "colours", colours)), ("1", "8"))


@pytest.mark.parametrize("white_first", [False, True])
def test_a_grey_palette_counts_by_its_colour(tmp_path: Path, white_first: bool) -> None:
    """pngquant orders the palette as it likes, so the index says nothing."""
    palette = [255, 255, 255, 0, 0, 0] if white_first else [0, 0, 0, 255, 255, 255]
    indices = ~MASKS if white_first else MASKS
    sequence = read_masks(write_pictures(tmp_path / "m", [palette_picture(i, palette) for i in indices]))
    assert np.array_equal(sequence.masks, MASKS) and sequence.instances is None


def soft(masks: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), sigma) for mask in masks])


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_soft_edges_are_one_object(tmp_path: Path, sigma: float) -> None:
    pictures = soft(MASKS, sigma)
    sequence = read_masks(write_pictures(tmp_path / "m", pictures))
    assert sequence.instances is None and np.array_equal(sequence.masks, pictures > 127)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_few_levels_at_edges_are_anti_aliasing(tmp_path: Path, factor: int) -> None:
    """Masks reduced in size have a handful of levels between 0 and 255, quantised to a palette or not."""
    size = (SIDE // factor, SIDE // factor)
    small = [cv2.resize(m.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) for m in MASKS]
    sequence = read_masks(write_pictures(tmp_path / "m", small))
    assert sequence.instances is None and np.array_equal(sequence.masks, np.stack(small) > 127)
    quantised = [Image.fromarray(picture).convert("RGB").quantize(8) for picture in small]
    sequence = read_masks(write_pictures(tmp_path / "q", quantised))
    assert sequence.instances is None
    assert (sequence.masks ^ (np.stack(small) > 127)).mean() < 0.01


def test_cut_outs_by_their_alpha(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, colour in {"dark": rng.integers(0, 90, (*MASKS.shape, 3)), "black": np.zeros((*MASKS.shape, 3))}.items():
        pictures = np.concatenate([colour, MASKS[..., None] * 255], axis=3).astype(np.uint8)
        assert np.array_equal(read_masks(write_pictures(tmp_path / name, pictures)).masks, MASKS)


def test_an_opaque_alpha_says_nothing(tmp_path: Path) -> None:
    pictures = np.concatenate([np.repeat(MASKS[..., None], 3, 3) * 255, np.full((*MASKS.shape, 1), 255)], axis=3)
    assert np.array_equal(read_masks(write_pictures(tmp_path / "m", pictures.astype(np.uint8))).masks, MASKS)


def test_evenly_spread_greys_are_objects_and_a_trimaps_band_is_not(tmp_path: Path) -> None:
    check_objects(read_masks(write_pictures(tmp_path / "two", labelled(128, 255))), ("128", "255"))
    mask = OBJECTS[0]
    band = np.stack([cv2.dilate(m.astype(np.uint8), np.ones((9, 9))) > 0 for m in mask])
    trimap = np.where(mask, 255, np.where(band, 128, 0)).astype(np.uint8)
    sequence = read_masks(write_pictures(tmp_path / "trimap", trimap))
    assert sequence.instances is None and np.array_equal(sequence.masks, mask)


def test_what_does_not_say_where_the_object_is_is_refused(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE * 3, SIDE * 3, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="as photos have"):
        read_masks(write_pictures(tmp_path / "photo", photo))
    with pytest.raises(InputError, match="several grey levels"):
        read_masks(write_pictures(tmp_path / "jpeg", labelled(90, 180).repeat(2, 1).repeat(2, 2), ".jpg"))
    with pytest.raises(InputError, match="inside out.*--invert"):
        read_masks(write_pictures(tmp_path / "black", np.where(MASKS, 0, 255).astype(np.uint8)))
    assert np.array_equal(read_masks(tmp_path / "black", polarity="black").masks, MASKS)
    with pytest.raises(ValueError, match="finite"):
        labels_from_grey(np.full((1, 2, 2), np.nan))


def test_masks_as_jpeg_are_read_by_half(tmp_path: Path) -> None:
    sequence = read_masks(write_pictures(tmp_path / "m", (MASKS * 255).astype(np.uint8), ".jpg"))
    assert sequence.instances is None and (sequence.masks ^ MASKS).mean() < 0.01

"""What the values of mask pictures mean: alpha, palette index, label, colour or grey level. One rule for every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mvmodel.masks.labels import Labels, find_flat_pixels, labels_from_grey, soft_mask

_HALF = 127
_VOID_COLOUR = 224 << 16 | 224 << 8 | 192
_MAX_LABEL_COLOURS = 24
"""A cut-out with more colours than this is no label map."""
_MAX_COLOURS = 4096
"""A picture with more colours than this is a photo."""
_CHROMA_NOISE = 24
"""Largest difference of the channels of a grey picture that was compressed as JPEG."""


@dataclass(frozen=True)
class MaskPicture:
    """The values of one mask picture as stored.

    values: grey (height, width), palette indices (height, width), or uint8 RGB (height, width, 3). alpha: uint8
    (height, width), or None for a picture without alpha. is_index: the values are indices of a coloured palette.
    is_lossy: the picture was compressed as JPEG is.
    """

    values: np.ndarray
    alpha: np.ndarray | None = None
    is_index: bool = False
    is_lossy: bool = False


def picture_values(image: Image.Image, is_lossy: bool = False) -> MaskPicture:
    """The values of a picture that Pillow opened, or of the frame that it is at.

    is_lossy: the picture was compressed as JPEG is. The palette decides whether its index counts (a coloured palette
    that begins with black, as DAVIS and VOC write it) or its colour (a grey palette, as pngquant writes it).
    """
    alpha: np.ndarray | None = None
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    if image.mode == "1":
        return MaskPicture(np.asarray(image).astype(np.uint8), alpha)
    if image.mode == "P":
        indices = np.asarray(image)
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        used_indices = np.unique(indices)
        is_complete = int(used_indices.max()) < len(palette)
        if not is_complete:
            return MaskPicture(indices, alpha)
        colours = palette[used_indices]
        is_grey = bool((np.ptp(colours.astype(int), axis=1) <= 2).all())
        if is_grey:
            return MaskPicture(palette[indices].max(axis=2), alpha)
        begins_black = not palette[0].any()
        if begins_black or not (colours.max(axis=1) == 0).any():
            return MaskPicture(indices, alpha, is_index=True)
        return MaskPicture(palette[indices], alpha)
    if image.mode.startswith(("I", "F")):
        return MaskPicture(np.asarray(image), alpha)
    if image.mode in ("L", "LA", "La"):
        return MaskPicture(np.asarray(image.convert("LA"))[..., 0], alpha, is_lossy=is_lossy)
    return MaskPicture(np.asarray(image.convert("RGBA"))[..., :3], alpha, is_lossy=is_lossy)


def read_labels(pictures: Sequence[MaskPicture]) -> Labels:
    """The objects of a sequence of mask pictures of one size.

    An alpha channel that is not opaque everywhere decides. Else palette indices, grey levels or colours are objects,
    if they fill areas; levels that occur at edges only are anti-aliasing. Background is 0 or black. Void (255 beside
    other ids, 10000 in 16 bit, VOC's cream) belongs to no object. All pictures are judged together.

    Raises ValueError with the reason for pictures that do not say where the object is.
    """
    has_cutout = any(picture.alpha is not None and (picture.alpha < 255).any() for picture in pictures)
    if has_cutout:
        return _read_alpha(pictures)
    if all(picture.is_index for picture in pictures):
        return labels_from_grey(np.stack([picture.values for picture in pictures]))
    is_lossy = any(picture.is_lossy for picture in pictures)
    if any(picture.is_index or picture.values.ndim == 3 for picture in pictures):
        return _read_colours([_to_rgb(picture) for picture in pictures], is_lossy)
    return labels_from_grey(np.stack([picture.values for picture in pictures]), is_lossy)


def _to_rgb(picture: MaskPicture) -> np.ndarray:
    if picture.is_index and picture.values.any():
        raise ValueError("some pictures have a palette and others colours; save all of them alike")
    values = picture.values
    if values.ndim == 3:
        return values
    if values.max(initial=0) > 255 or values.dtype.kind == "f":
        raise ValueError("some pictures are 16-bit grey and others coloured; save all of them alike")
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


def _read_alpha(pictures: Sequence[MaskPicture]) -> Labels:
    if any(picture.alpha is None for picture in pictures):
        raise ValueError("some pictures have an alpha channel and others none; save all of them alike")
    opaque = np.stack([picture.alpha for picture in pictures]) > _HALF  # type: ignore[misc]
    one_object = Labels(opaque.astype(np.uint16), (1,))
    if all(picture.is_index for picture in pictures):
        indices = np.stack([picture.values for picture in pictures])
        return labels_from_grey(np.where(opaque, indices, 0)) if (indices[opaque] > 0).all() else one_object
    values = [picture.values.max(axis=2) if picture.values.ndim == 3 else picture.values for picture in pictures]
    if all(_is_grey(picture.values) for picture in pictures):
        levels = np.stack(values)
        distinct = np.unique(levels[opaque]) if opaque.any() else np.array([0])
        if distinct.tolist() in ([0, 1], [0, 255]):  # a black-and-white mask on a transparent margin
            return Labels((opaque & (levels > 0)).astype(np.uint16), (1,))
        return one_object
    packed = np.stack([_pack(_to_rgb(picture)) for picture in pictures])
    colours = {int(colour) for colour in np.unique(packed[opaque])[: _MAX_LABEL_COLOURS + 1]}
    if 1 < len(colours) <= _MAX_LABEL_COLOURS and colours <= set(_voc_colours()):
        return _labels_from_packed(np.where(opaque, packed, 0))
    return one_object


def _is_grey(values: np.ndarray, tolerance: int = 0) -> bool:
    return values.ndim == 2 or int(np.ptp(values.astype(np.int16), axis=2).max(initial=0)) <= tolerance


def _read_colours(pictures: list[np.ndarray], is_lossy: bool) -> Labels:
    if all(_is_grey(picture, _CHROMA_NOISE if is_lossy else 0) for picture in pictures):
        return labels_from_grey(np.stack([picture.max(axis=2) for picture in pictures]), is_lossy)
    if is_lossy:
        return soft_mask(np.stack([picture.max(axis=2) for picture in pictures]))
    return _labels_from_packed(np.stack([_pack(picture) for picture in pictures]))


def _pack(rgb: np.ndarray) -> np.ndarray:
    channels = rgb.astype(np.uint32)
    packed: np.ndarray = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    return packed


def _voc_colours() -> dict[int, int]:
    """PASCAL VOC's palette, which DAVIS and YouTube-VOS use: packed colour -> index."""
    colours = {}
    for index in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        colours[channels[0] << 16 | channels[1] << 8 | channels[2]] = index
    return colours


def _labels_from_packed(packed: np.ndarray) -> Labels:
    """Objects from packed colours, uint32 (frames, height, width): black or the border's colour is background."""
    colours = np.unique(np.concatenate([np.unique(picture) for picture in packed]))
    if len(colours) > _MAX_COLOURS:
        raise ValueError(
            f"it has {len(colours)} colours, as photos have, and no alpha; give masks in white on black, or cut-outs "
            f"with a transparent background"
        )
    codes = np.searchsorted(colours, packed).astype(np.uint16)
    areas = np.bincount(codes[find_flat_pixels(codes)], minlength=len(colours)) > 0
    area_colours = colours[areas] if areas.any() else colours
    background = 0
    if 0 not in area_colours:
        border = np.concatenate([packed[:, 0], packed[:, -1], packed[:, :, 0], packed[:, :, -1]], axis=1).ravel()
        candidates, counts = np.unique(border, return_counts=True)
        background = int(candidates[counts.argmax()])
        if counts.max() < 0.9 * len(border) or background not in area_colours:
            raise ValueError("no colour of it is the background; give coloured objects on black")
    if len(area_colours) > 256:
        raise ValueError(f"it has {len(area_colours)} colours and no alpha; give one colour an object, on black")
    # Colours without an area of their own are anti-aliasing: each becomes the nearest colour that has one.
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.int64)
    distances = ((rgb[:, None] - rgb[None, np.searchsorted(colours, area_colours)]) ** 2).sum(axis=2)
    nearest = area_colours[distances.argmin(axis=1)]
    voc = _voc_colours()
    objects = [int(c) for c in area_colours if int(c) not in (background, _VOID_COLOUR)]
    is_voc = all(colour in voc for colour in objects)
    ids = sorted((voc[colour] if is_voc else colour, colour) for colour in objects)
    table = np.zeros(len(colours), np.uint16)
    for code, (_, colour) in enumerate(ids, start=1):
        table[nearest == colour] = code
    return Labels(table[codes], tuple(label for label, _ in ids))

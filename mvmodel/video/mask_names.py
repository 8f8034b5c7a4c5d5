"""The names that say that a file or folder holds masks, and whose."""

from __future__ import annotations

import re
import unicodedata

MASK_FOLDERS = (
    "masks", "mask", "segmentationobject", "instances", "annotations", "groundtruth", "ground_truth", "gt", "gt_masks",
    "segmentationclass", "segmentation", "segmentations", "segmentation_masks", "seg", "labels", "label", "matte",
    "mattes", "alpha", "alphas", "pha", "silhouettes", "annotations_unsupervised",
)  # fmt: skip
"""Folders of masks beside frames or videos, in lower case, the preferred ones first."""
FRAME_FOLDERS = frozenset(
    {"frames", "frame", "images", "image", "imgs", "img", "jpegimages", "rgb", "color", "colour", "input", "inputs"}
    | {"videos", "video", "clips", "clip", "footage", "source", "fgr", "com", "data", "pictures"}
)
"""Folders whose names say nothing about the clip."""
_RESOLUTION = re.compile(r"\d{3,4}p|full-?resolution|image_\d+|\d+x\d+", re.IGNORECASE)
_SURE_OWNER = re.compile(r"(?P<owner>.+?)[._\- ]+masks?", re.IGNORECASE)
_LIKELY_OWNER = re.compile(
    r"(?P<owner>.+?)[._\- ]+(masks?|mattes?|alpha|pha|gt|groundtruth|labels?|seg|segmentation|annotations?|silhouette)",
    re.IGNORECASE,
)
_MASK_WORD = re.compile(
    r"(?<![a-z])(masks?|mattes?|alpha|pha|gt|groundtruth|labels?|seg|segmentation|annotations?|silhouette)(?![a-z])"
)
_FRAME_WORD = re.compile(r"(?<![a-z])(frames?|images?|img|rgb|colou?r|com|fgr)(?![a-z])")
_WHOLE_CLIP = re.compile(r"(instances|_?annotations|person_keypoints|coco|labels|masks?|result)([._\-].*)?")


def fold_name(name: str) -> str:
    """A name for comparison: letter case and the way of writing accents do not count."""
    return unicodedata.normalize("NFC", name).casefold()


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds the masks of what is beside it."""
    return fold_name(name) in MASK_FOLDERS


def mask_owner(stem: str) -> str:
    """The clip that "clip.masks" or "clip_mask" belongs to, or "" for a name that says nothing of masks."""
    match = _SURE_OWNER.fullmatch(stem)
    return match["owner"] if match else ""


def likely_mask_owner(stem: str) -> str:
    """As `mask_owner`, for more words (clip_alpha, clip_gt). A clip may have such a name: its owner has to exist."""
    match = _LIKELY_OWNER.fullmatch(stem)
    return match["owner"] if match else ""


def has_mask_word(prefix: str, tail: str) -> bool:
    """Whether the text around a picture's number says that it is a mask: 00000_mask.png, mask_00000.png."""
    return bool(_MASK_WORD.search(fold_name(f"{prefix} {tail}")))


def plain_sequence_name(prefix: str, tail: str) -> str:
    """The text around a picture's number without words for masks and frames: equal for frames and their masks."""
    text = _FRAME_WORD.sub(" ", _MASK_WORD.sub(" ", fold_name(f"{prefix} {tail}")))
    return re.sub(r"[\W_]+", " ", text).strip()


def names_whole_clip(stem: str) -> bool:
    """Whether a file of this name, without its suffix, holds the masks of all that is beside it: _annotations.coco."""
    return bool(_WHOLE_CLIP.fullmatch(fold_name(stem)))


def clip_key(parts: tuple[str, ...], keep_resolution: bool) -> tuple[str, ...]:
    """The folders and the name that a clip and its masks share, from a path without its suffix.

    JPEGImages/480p/bear and (Annotations/)480p/bear both give ("bear",), or ("480p", "bear") with `keep_resolution`.
    """
    key = []
    for number, part in enumerate(parts):
        folded = fold_name(part)
        is_last = number == len(parts) - 1
        owner = likely_mask_owner(folded) if is_last else ""
        if is_last and names_whole_clip(folded):
            continue
        if folded not in FRAME_FOLDERS and (keep_resolution or not _RESOLUTION.fullmatch(folded)):
            key.append(owner or folded)
    return tuple(key)

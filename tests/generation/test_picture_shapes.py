"""Everything from footage to the report at a size that is no square."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig
from mvmodel.generation.default_requests import write_default_requests
from mvmodel.generation.first_frame_fit import fit_first_frame, read_first_frame
from mvmodel.generation.request_table import read_requests
from mvmodel.generation.requests import first_frames, generate
from mvmodel.masks import MaskSequence
from mvmodel.masks.fit import fit_masks
from mvmodel.packs import load_pack
from mvmodel.picture_size import PictureSize
from mvmodel.reports.folder_report import write_folder_report
from mvmodel.training.clips import load_training_clips
from mvmodel.training.finetune import finetune
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.frames import read_frames

SIZE = PictureSize(96, 64)


def _write_clip(folder: Path, name: str, left: int) -> None:
    """A bright disc that rolls over grey, in 128x72, with its masks beside it."""
    masks = np.stack([cv2.circle(np.zeros((72, 128), np.uint8), (left + 4 * n, 40), 12, 1, -1) > 0 for n in range(6)])
    frames = np.where(masks[..., None], np.uint8([240, 200, 40]), np.uint8([60, 80, 70]))
    write_mp4(folder / f"{name}.mp4", frames, 8)
    (folder / f"{name}.txt").write_text("a ball rolls over a meadow")
    write_png_folder(folder / f"{name}.masks", masks)


@pytest.mark.slow
def test_from_footage_to_the_report(small_pack_folder: Path, tmp_path: Path) -> None:
    pack = load_pack(small_pack_folder, size=SIZE)
    backend = load_backend(pack)
    for name, left in (("one", 14), ("two", 90)):
        _write_clip(tmp_path / "in", name, left)
    loaded = load_training_clips(pack, tmp_path / "in")
    assert [clip.frames.shape for clip in loaded.clips] == [(4, 64, 96, 3)] * 2
    assert all(clip.masks.shape == (4, 64, 96) and clip.masks.any(axis=(1, 2)).all() for clip in loaded.clips)
    adapter = finetune(backend, loaded.clips, TrainConfig(steps=2, init_from=None), tmp_path / "adapter")
    table = write_default_requests(tmp_path, "roll", loaded.clips, ["ball"], 8.0, 2, seed=0)
    square = np.zeros((4, 64, 64), bool)
    square[:, 20:40, 20:40] = True
    MaskSequence(square).save(tmp_path / "masks" / "square.npz")
    with open(table, "a", encoding="utf-8") as file:
        file.write("square,roll,a ball rolls,masks/square.npz,3,\n")
    requests, config = read_requests(table), GenerationConfig(steps=2, first_frame_steps=2)
    pictures = first_frames(backend, requests, config, tmp_path / "first")
    videos = generate(backend, adapter, requests, pictures, config, tmp_path / "videos")
    for request in requests:
        assert read_frames(videos / f"{request.name}.npz").shape == (4, 64, 96, 3), request.name
    page = write_folder_report(pack, videos, table, tmp_path / "report")
    assert "aspect-ratio: 96 / 64" in page.read_text()
    rows = pd.read_csv(tmp_path / "report" / "metrics.csv")
    assert len(rows) == 3 and rows["iou"].between(0, 1).all() and rows["consistency"].notna().all()


def test_a_first_frame_is_fitted_as_the_masks_are(tmp_path: Path) -> None:
    mask = np.zeros((2, 36, 64), bool)
    mask[:, 10:20, 2:12] = True
    masks = MaskSequence(mask)
    picture = np.where(np.repeat(np.repeat(mask[0], 2, axis=0), 2, axis=1)[..., None], 255, 0).astype(np.uint8)
    Image.fromarray(np.repeat(picture, 3, axis=2)).save(tmp_path / "first.png")  # 128 x 72, the shape of the masks
    size = PictureSize(64, 64)
    for fit in ("crop", "pad"):
        frame, remark = fit_first_frame(read_first_frame(tmp_path / "first.png"), size, masks, fit)
        cut, fitted = frame[..., 0] > 127, fit_masks(masks, size, fit).masks[0]
        assert (cut & fitted).sum() > 0.8 * (cut | fitted).sum(), fit
        assert "as the masks are" in remark
    frame, remark = fit_first_frame(read_first_frame(tmp_path / "first.png"), PictureSize(32, 18), masks)
    assert frame.shape == (18, 32, 3) and remark == ""
    tall = np.zeros((90, 50, 3), np.uint8)
    tall[20:70] = 200
    frame, remark = fit_first_frame(tall, size, masks)
    assert frame.shape == (64, 64, 3) and frame[1:-1].min() > 190  # the border is interpolated
    assert remark == "the first frame of 50x90 is fitted into 64x64 by its middle 50x50"

"""Training, generation and reports through the interface, with a backend that is no diffusion model at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mvmodel.backends.backend import Backend, Trainee
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.backend import ImageUNetBackend
from mvmodel.backends.instances import Instance
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError, PackError
from mvmodel.files import hash_file
from mvmodel.generation.requests import Request, first_frames, generate
from mvmodel.masks import MaskSequence
from mvmodel.reports.folder_report import write_folder_report
from mvmodel.training.finetune import finetune

SIZE, FRAMES = 64, 4
GROUND, OBJECT = 40, 200
TRAINING = TrainConfig(steps=60, lr=0.05, warmup=1, weight_decay=0.0, init_from=None, precision="no")


class OneNumber(Trainee):
    """Learns the brightness of the foreground, 0..1."""

    def __init__(self, brightness: float = 0.0) -> None:
        super().__init__()
        self.brightness = torch.nn.Parameter(torch.tensor(brightness))
        self.is_attached = False

    def forward(self, *batch: torch.Tensor) -> torch.Tensor:
        assert self.is_attached
        frames, masks = batch
        return ((frames - self.brightness).square() * masks).sum() / masks.sum()

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.brightness]}]

    def parameter_counts(self) -> dict[str, int]:
        return {"brightness": 1}

    @contextmanager
    def attached(self) -> Iterator[None]:
        self.is_attached = True
        yield
        self.is_attached = False

    def write_preview(self, png: Path, cached: Any) -> None:
        Image.new("L", (8, 8), round(255 * self.brightness.item())).save(png)

    def save(self, folder: Path, frames: int) -> None:
        (folder / "brightness.json").write_text(json.dumps(self.brightness.item()))


class Rectangles(Backend):
    """Paints the bounding box of every mask, as bright as its trainee learned."""

    name, hash, random, device, frame_size = "rectangles", "0" * 64, False, "cpu", (SIZE, SIZE)
    supported_generation_settings = frozenset({"adapter_scale"})
    supported_training_settings: frozenset[str] = frozenset()

    def check_shape(self, frames: int, height: int, width: int) -> None:
        if (frames - 1) % 3:
            raise InputError(f"{frames} frames are not 3 n + 1; give 4 or 7")

    def fill_generation_config(self, config: GenerationConfig) -> GenerationConfig:
        return config

    def first_frames(
        self,
        prompts: Sequence[str],
        masks: np.ndarray,
        seeds: Sequence[int],
        config: GenerationConfig,
        negative_prompts: Sequence[str] | None = None,
        instances: Sequence[Instance] | None = None,
    ) -> np.ndarray:
        return paint(masks, OBJECT)

    def sample(
        self,
        adapter: Path | None,
        prompt: str,
        masks: np.ndarray,
        first_frame: np.ndarray,
        config: GenerationConfig,
        seed: int,
        *,
        negative_prompt: str = "",
        mask_term: bool = True,
        instances: Sequence[Instance] | None = None,
        work_dir: Path | None = None,
    ) -> np.ndarray:
        brightness = 0.0 if adapter is None else self.read(adapter)
        later = paint(masks[1:] & mask_term, round(255 * brightness))
        return np.concatenate([first_frame[None], later])

    def read(self, folder: Path) -> float:
        if not (folder / "brightness.json").exists():
            raise PackError(f"{folder} holds no brightness")
        return float(json.loads((folder / "brightness.json").read_text()))

    def start_adapter(self) -> Path | None:
        return None

    def hash_adapter(self, folder: Path) -> str:
        return hash_file(folder / "brightness.json")

    def cache_clips(self, clips: Sequence[TrainingClip], file: Path, flip: bool) -> Any:
        return [(torch.tensor(c.frames[..., 0]) / 255, torch.tensor(c.masks).float()) for c in clips]

    def draw(self, cached: Any, config: TrainConfig, index: int) -> tuple[torch.Tensor, ...]:
        return cached[(config.seed + index) % len(cached)]

    def new_trainee(self, config: TrainConfig, device: str) -> OneNumber:
        return OneNumber()

    def load_trainee(self, folder: Path, config: TrainConfig, device: str) -> OneNumber:
        return OneNumber(self.read(folder))


def paint(masks: np.ndarray, value: int) -> np.ndarray:
    frames = np.full((*masks.shape, 3), GROUND, np.uint8)
    for frame, mask in zip(frames, masks, strict=True):
        if mask.any():
            rows, columns = np.nonzero(mask)
            frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = value
    return frames


def sliding_masks(start: int, frames: int = FRAMES) -> np.ndarray:
    masks = np.zeros((frames, SIZE, SIZE), bool)
    for index in range(frames):
        masks[index, 20:40, start + 8 * index : start + 8 * index + 16] = True
    return masks


@pytest.fixture
def backend() -> Rectangles:
    return Rectangles()


@pytest.fixture
def clips() -> list[TrainingClip]:
    return [
        TrainingClip(f"clip-{start}", paint(sliding_masks(start), OBJECT), sliding_masks(start), "a square slides")
        for start in (0, 8)
    ]


def test_a_second_backend_trains_generates_and_is_reported(backend, clips, small_pack, tmp_path):
    rows: list[dict[str, Any]] = []
    config = TRAINING.model_copy(update={"preview_every": 60})
    adapter = finetune(backend, clips, config, tmp_path / "training", validation=clips[1:], report=rows.append)
    assert backend.read(adapter) == pytest.approx(OBJECT / 255, abs=0.05)
    record = json.loads((adapter / "train.json").read_text())
    assert record["validation_loss_after"] < record["validation_loss_before"] / 10
    assert (record["pack"], record["parameters"]) == ("rectangles", {"brightness": 1})
    assert list((adapter / "previews").glob("*.png")) and "rectangles" in (adapter / "README.md").read_text()

    table = tmp_path / "requests.csv"
    table.write_text("name,motion,prompt,masks,seed\nv,slide,a square slides,masks.npz,0\n")
    MaskSequence(sliding_masks(4)).save(tmp_path / "masks.npz")
    request = Request(name="v", motion="slide", prompt="a square slides", masks=tmp_path / "masks.npz")
    first = first_frames(backend, [request], GenerationConfig(), tmp_path / "first")
    for condition, mask_term in (("full", True), ("no_mask", False)):
        folder = tmp_path / "videos" / condition
        generate(backend, adapter, [request], first, GenerationConfig(), folder, mask_term=mask_term)
    frames = np.load(tmp_path / "videos" / "full" / "v.npz")["frames"]
    assert frames.shape == (FRAMES, SIZE, SIZE, 3) and (frames[1:, ..., 0] > 150).sum() == 3 * 20 * 16
    settings = json.loads((tmp_path / "videos" / "full" / "v.json").read_text())
    assert settings["pack_hash"] == backend.hash and settings["adapter_sha256"] == backend.hash_adapter(adapter)

    page = write_folder_report(small_pack, tmp_path / "videos", table, tmp_path / "report")
    assert "a square slides" in page.read_text()
    assert len((tmp_path / "report" / "metrics.csv").read_text().splitlines()) == 3


def test_training_continues_from_an_adapter_of_the_same_backend(backend, clips, tmp_path):
    start = finetune(backend, clips, TRAINING, tmp_path / "start", report=lambda row: None)
    config = TRAINING.model_copy(update={"init_from": str(start), "steps": 1, "lr": 1e-6})
    longer = finetune(backend, clips, config, tmp_path / "longer", report=lambda row: None)
    assert backend.read(longer) == pytest.approx(backend.read(start), abs=1e-4)
    with pytest.raises(PackError, match="ships no start adapter"):
        finetune(backend, clips, TRAINING.model_copy(update={"init_from": "start"}), tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "brightness.json").write_text("0.5")
    other_start = TRAINING.model_copy(update={"init_from": str(tmp_path / "other")})
    with pytest.raises(InputError, match="trained with other settings"):
        finetune(backend, clips, other_start, tmp_path / "longer")


def test_settings_that_a_backend_does_not_know_are_refused_by_name(backend, clips, tmp_path):
    with pytest.raises(InputError, match="rectangles does not support the training settings flip, mask_width; leave"):
        finetune(backend, clips, TrainConfig(init_from=None, mask_width=8, flip=False), tmp_path)
    with pytest.raises(InputError, match="does not support the generation setting alpha; leave it out"):
        generate(backend, tmp_path, [], tmp_path, GenerationConfig(alpha=0.5, adapter_scale=0.5), tmp_path)
    with pytest.raises(InputError, match="does not support the generation setting control_scale"):
        first_frames(backend, [], GenerationConfig(control_scale=0.5), tmp_path)
    generate(backend, tmp_path, [], tmp_path, GenerationConfig(adapter_scale=0.5, batch=2), tmp_path)


def test_lengths_that_a_backend_cannot_process_are_refused_with_the_file(backend, clips, tmp_path):
    MaskSequence(sliding_masks(0, 5)).save(tmp_path / "five.npz")
    request = Request(name="v", motion="slide", prompt="a square", masks=tmp_path / "five.npz")
    with pytest.raises(InputError, match=r"five\.npz: 5 frames are not 3 n \+ 1; give 4 or 7"):
        first_frames(backend, [request], GenerationConfig(), tmp_path / "first")
    short = [TrainingClip("short", clips[0].frames[:3], clips[0].masks[:3], "")]
    with pytest.raises(InputError, match=r"the clips cannot be trained on: 3 frames"):
        finetune(backend, short, TRAINING, tmp_path / "training")


def test_a_pack_of_today_has_the_image_unet_backend_which_supports_every_setting(small_pack):
    backend = load_backend(small_pack)
    assert isinstance(backend, ImageUNetBackend) and backend.hash == small_pack.hash
    backend.check_generation_config(GenerationConfig(alpha=0.5, control_scale=0.5, match_background=0.5))
    backend.check_training_config(TrainConfig(mask_width=8, foreground_tokens=2))
    backend.check_shape(2, 48, 64)
    with pytest.raises(InputError, match="40x64, but the pack small-random needs width and height divisible by 16"):
        backend.check_shape(2, 64, 40)
    with pytest.raises(InputError, match="one frame is a picture"):
        backend.check_shape(1, 64, 64)

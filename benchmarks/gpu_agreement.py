"""Whether a GPU computes what the CPU does: a video, a training and the metrics of a small pack, by number type."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_workload import measure_or_report
from benchmarks.measurements import Figures
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.files import atomic_write
from mvmodel.metrics.judge import judge_with_pack
from mvmodel.packs import Pack, load_pack
from mvmodel.training.finetune import finetune
from mvmodel.world.render import random_clip

PRECISIONS = {"float32": "no", "float16": "fp16", "bfloat16": "bf16"}
"""Number type of the models -> autocast in training."""
TRAINING_STEPS = 4
GENERATION = GenerationConfig()


def measure_reference(pack_name: str, file: Path) -> Figures:
    """On the CPU in float32: first frame and video, written to `file` (.npz), loss after a few steps, and metrics."""
    pack = load_pack(pack_name, "cpu", "float32")
    clip = _render_clip(pack)
    first_frame = _generate_first_frame(pack, clip)
    video = _generate_video(pack, clip, first_frame)
    with atomic_write(file) as temporary, open(temporary, "wb") as out:
        np.savez(out, first_frame=first_frame, video=video)
    return {"loss": _train(pack, clip, "no"), "metrics": _judge(pack, clip, video)}


def measure_agreement(pack_name: str, device: str, dtype: str, file: Path, reference: Figures) -> Figures:
    """The same on another device or with another number type, compared with what `measure_reference` found.

    PSNR in dB of the first frame and of the video that begins with the reference's first frame; the loss beside the
    reference's; the largest difference of a metric of the reference's video.
    """

    def measure() -> Figures:
        pack = load_pack(pack_name, device, dtype)
        clip = _render_clip(pack)
        with np.load(file) as frames:
            first_frame, video = frames["first_frame"], frames["video"]
        loss = _train(pack, clip, PRECISIONS[dtype])
        metrics = _judge(pack, clip, video)
        differences = {name: abs(metrics[name] - value) for name, value in reference["metrics"].items()}
        worst = max(differences, key=lambda name: differences[name])
        return {
            "first_frame_psnr": compute_psnr(first_frame, _generate_first_frame(pack, clip)),
            "video_psnr": compute_psnr(video, _generate_video(pack, clip, first_frame)),
            "loss": loss,
            "reference_loss": reference["loss"],
            "finite": math.isfinite(loss) and all(math.isfinite(value) for value in metrics.values()),
            "largest_metric_difference": differences[worst],
            "metric": worst,
        }

    return measure_or_report(measure)


def compute_psnr(reference: np.ndarray, frames: np.ndarray) -> float:
    """PSNR in dB between uint8 arrays of one shape; 100 if they are equal."""
    error = float(((reference.astype(np.float64) - frames) ** 2).mean())
    return 100.0 if error == 0 else min(100.0, 10 * math.log10(255**2 / error))


def _render_clip(pack: Pack) -> TrainingClip:
    clip = random_clip((15, 1), frames=pack.info.frames, side=pack.info.size.height)
    return TrainingClip("rendered", clip.frames, clip.masks, clip.caption)


def _generate_first_frame(pack: Pack, clip: TrainingClip) -> Any:
    return load_backend(pack).first_frames([clip.caption], clip.masks[:1], [0], GENERATION)[0]


def _generate_video(pack: Pack, clip: TrainingClip, first_frame: np.ndarray) -> np.ndarray:
    backend = load_backend(pack)
    return backend.sample(backend.start_adapter(), clip.caption, clip.masks, first_frame, GENERATION, 0)


def _train(pack: Pack, clip: TrainingClip, precision: str) -> float:
    """The loss of the last of a few steps from nothing."""
    losses: list[float] = []

    def record(row: dict[str, Any]) -> None:
        if "loss" in row:
            losses.append(row["loss"])

    config = TrainConfig(steps=TRAINING_STEPS, init_from=None, flip=False, warmup=0, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        finetune(load_backend(pack), [clip], config, Path(folder), report=record)
    return losses[-1]


def _judge(pack: Pack, clip: TrainingClip, video: np.ndarray) -> dict[str, float]:
    return judge_with_pack(pack, video, clip.masks, clip.caption).metrics

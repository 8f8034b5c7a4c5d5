"""What is experimented on, and how its videos are made and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.experiments.grid import Measured, Rows
from mvmodel.files import hash_file, hash_value, write_aside
from mvmodel.generation.config import GenerationConfig
from mvmodel.generation.requests import Request
from mvmodel.masks import MaskSequence

if TYPE_CHECKING:
    from mvmodel.packs import Pack
    from mvmodel.training.config import TrainConfig, TrainingClip

WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Subject:
    """One motion: its pack, its adapter's folder, the requests to make, and the clips that it was trained on.

    others: clips of other motions by name, for the experiment over many motions.
    """

    name: str
    pack: Pack
    adapter: Path
    requests: Sequence[Request]
    clips: Sequence[TrainingClip] = ()
    others: dict[str, Subject] = field(default_factory=dict)

    def asked(self, count: int) -> list[Request]:
        """The first `count` requests. Raises InputError when there is none."""
        if not self.requests:
            raise InputError(f"motion {self.name} has no requests; an experiment needs at least one")
        return list(self.requests[:count])


def identity(adapter: Path | None, pack: Pack, request: Request, generation: GenerationConfig) -> dict[str, str]:
    """What a video of this request depends on beside an experiment's own changes."""
    return {
        "adapter": hash_file(Path(adapter) / WEIGHTS) if adapter else "",
        "pack": pack.hash,
        "request": hash_value([request.prompt, request.seed, request.negative_prompt, hash_file(request.masks)]),
        "generation": hash_value(generation.model_dump(mode="json")),
    }


def hash_clip(clip: TrainingClip) -> str:
    """Identity of a training clip: caption, pixels and masks."""
    import hashlib

    parts = (hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in (clip.frames, clip.masks))
    return hash_value([clip.caption, *parts])


class Maker:
    """Makes and measures videos; pipelines and first frames are kept while it lives, first frames on disk too."""

    def __init__(self, pack: Pack, folder: Path) -> None:
        self.pack, self.folder = pack, Path(folder)
        self._pipelines: dict[str, Any] = {}

    def first_frame(
        self, prompt: str, mask: np.ndarray, seed: int, config: GenerationConfig, negative: str = ""
    ) -> np.ndarray:
        """Frame 1 by the pack's ControlNet: uint8 (height, width, 3)."""
        from PIL import Image

        from mvmodel.generation.first_frame import control_frames

        used = [config.first_frame_steps, config.first_frame_guidance, config.control_scale, config.scheduler]
        made_of = [self.pack.hash, prompt, seed, negative, np.packbits(mask).tobytes().hex(), list(mask.shape), used]
        file = self.folder / "first_frames" / f"{hash_value(made_of)}.png"
        if not file.exists():
            picture = control_frames(self.pack, [prompt], mask[None], [seed], config, [negative])[0]
            with write_aside(file) as aside:
                Image.fromarray(picture).save(aside)
        return np.asarray(Image.open(file).convert("RGB"))

    def video(
        self,
        adapter: Path | None,
        request: Request,
        masks: np.ndarray,
        first: np.ndarray,
        config: GenerationConfig,
        mask_term: bool = True,
        fps: float = 8.0,
    ) -> np.ndarray:
        """uint8 (frames, height, width, 3) under `masks`, bool (frames, height, width)."""
        from mvmodel.generation.build import build_pipeline
        from mvmodel.generation.requests import run_request

        key = f"{adapter} {config.scheduler}"
        if key not in self._pipelines:
            self._pipelines[key] = build_pipeline(self.pack, adapter, config)
        return run_request(self._pipelines[key], request, MaskSequence(masks, fps), first, config, mask_term)

    def measure(
        self, frames: np.ndarray, masks: np.ndarray, request: Request, given: np.ndarray | None = None
    ) -> Measured:
        """Every figure of a video against `masks`, the true ones, and frame by frame.

        given: the masks that it was made with, when these differ; `iou_given` is then the overlap with those.
        """
        from mvmodel.metrics import adherence, appearance
        from mvmodel.metrics.score import score_video

        scorer, segmenter = self.pack.scorer(), self.pack.segmenter()
        words = adherence.words_in(request.prompt, scorer.words) or [request.prompt]
        seen = adherence.look(frames, segmenter, scorer, words)
        figures: dict[str, Any] = score_video(frames, masks, request.prompt, scorer, segmenter, words, seen)
        embeddings, text = scorer.images(frames), scorer.texts([request.prompt])[0]
        overlap = adherence.iou(seen.foreground, masks)
        if given is not None:
            figures["iou_given"] = float(adherence.iou(seen.foreground, given).mean())
        said = {"name": request.name, "prompt": request.prompt, "seed": request.seed}
        rows: Rows = [
            {
                **said,
                "frame": index + 1,
                "iou": float(overlap[index]),
                "alignment": float(embeddings[index] @ text),
                "like_first": float(embeddings[index] @ embeddings[0]),
                "drift": appearance.colour_drift(frames[[0, index]], masks[[0, index]]) if index else 0.0,
            }
            for index in range(len(frames))
        ]
        return Measured([{**said, "frames": len(frames), **figures, **scorer.record}], rows)

    def adapter_folder(self, clips: Sequence[TrainingClip], config: TrainConfig) -> Path:
        """Where an adapter that an experiment trains is kept: another place for other clips or another config."""
        made_of = [self.pack.hash, [hash_clip(clip) for clip in clips], config.model_dump(mode="json")]
        return self.folder / "adapters" / hash_value(made_of)[:16]

    def strip(self, frames: np.ndarray, name: str) -> None:
        """Keep six frames side by side as `sheets/NAME.png`, to look at."""
        from PIL import Image

        chosen = frames[np.linspace(0, len(frames) - 1, 6).round().astype(int)]
        with write_aside(self.folder / "sheets" / f"{name}.png") as aside:
            Image.fromarray(np.concatenate(list(chosen), axis=1)).save(aside)


def together(parts: Sequence[Measured]) -> Measured:
    return Measured([row for part in parts for row in part.videos], [row for part in parts for row in part.frames])

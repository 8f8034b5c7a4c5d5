"""Quick stand-ins for the library's slow functions, so that what the pipelines do with them is tested in seconds.

Also a program: `python stand_ins.py run --clips ... --home ...` is `mvmodel-pipeline` on stand-ins, for tests that
kill it. Every call appends a line to STAND_IN_LOG; the one that writes STAND_IN_SLOW then takes a minute.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mvmodel.packs import Pack

SIDE, FRAMES = 64, 4
"""Height of the clips, and their width by default."""


def write_clips(folder: Path, motions: dict[str, int], bad: int = 1, width: int = SIDE) -> Path:
    """Clips of a bright square that slides (or drops, or hops), their manifest, and files that are no videos."""
    from mvmodel.video.encode import write_mp4

    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,caption,motion"]
    for motion, count in motions.items():
        for number in range(count):
            frames = np.full((8, SIDE, width, 3), 30 + 3 * number, np.uint8)
            for i in range(8):
                y, x = {"slide": (20, 4 + 4 * i), "drop": (4 + 4 * i, 20)}.get(motion, (20 + 8 * (i % 2), 4 + 4 * i))
                frames[i, y + number : y + number + 16, x : x + 16] = (220, 200, 120 + 10 * number)
            name = f"{motion}-{number}.mp4"
            write_mp4(folder / name, frames, 8.0)
            rows.append(f"{name},a square {motion}s,{motion}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    for number in range(bad):
        (folder / f"broken-{number}.mp4").write_bytes(b"not a video" * number)
    return folder


def note(what: str) -> None:
    """Log a call and, if it is the one to be slow, take that long."""
    if log := os.environ.get("STAND_IN_LOG"):
        with open(log, "a") as file:
            file.write(what + "\n")
    if os.environ.get("STAND_IN_SLOW") == what:
        time.sleep(60)


def extract_masks(frames: np.ndarray, segmenter: Any, config: Any = None, fps: float = 8.0, *_: Any) -> Any:
    from mvmodel.masks import MaskSequence
    from mvmodel.segmentation.quality import MaskQuality
    from mvmodel.segmentation.tracking import MaskExtraction

    note("extract")
    masks = frames.max(axis=-1) > 140
    quality = MaskQuality(
        coverage=float(masks.mean()),
        jitter=0.0,
        holes=0.0,
        border=0.0,
        missing=0.0,
        confidence=1.0,
        salience=None,
        weak=not masks.any(),
        reasons=[],
    )
    return MaskExtraction(sequence=MaskSequence(masks, fps), quality=quality, confidence=[1.0] * len(masks))


def finetune(
    pack: Pack,
    clips: Any,
    config: Any,
    folder: Path,
    validation: Any = (),
    report: Any = None,
    device: str | None = None,
) -> Path:
    """Ten "steps" that are kept one by one in folder/work, so that a resumed run goes on where it was killed."""
    out, work = Path(folder) / "adapter", Path(folder) / "work"
    if (out / "train.json").exists():
        return out
    work.mkdir(parents=True, exist_ok=True)
    state = work / "state.json"
    for step in range(json.loads(state.read_text()) if state.exists() else 0, 10):
        note(f"step {step} {Path(folder).name}")
        state.write_text(json.dumps(step + 1))
    out.mkdir(exist_ok=True)
    record = {"config": config.model_dump(), "clips": [clip.name for clip in clips], "seed": config.seed}
    (out / "diffusion_pytorch_model.safetensors").write_bytes(json.dumps(record, sort_keys=True).encode())
    (out / "curve.jsonl").write_text(json.dumps({"step": 10, "loss": 0.1, "rate": time.time()}) + "\n")
    (out / "config.json").write_text("{}")
    (out / "train.json").write_text(json.dumps(record))
    return out


def first_frames(
    pack: Pack, requests: Any, config: Any, folder: Path, progress: Any = None, workers: Any = None
) -> Path:
    from PIL import Image

    from mvmodel.masks import MaskSequence

    folder.mkdir(parents=True, exist_ok=True)
    for request in requests:
        note(f"first_frame {request.name}")
        shape = MaskSequence.load(request.masks).masks.shape[1:]
        Image.fromarray(np.full((*shape, 3), 60, np.uint8)).save(folder / f"{request.name}.png")
    return folder


def generate(
    pack: Pack,
    adapter: Path,
    requests: Any,
    first_frames: Path,
    config: Any,
    folder: Path,
    mask_term: bool = True,
    progress: Any = None,
    workers: Any = None,
) -> Path:
    """Videos that show the mask itself with the term on, and nothing with it off."""
    from mvmodel.masks import MaskSequence
    from mvmodel.video.encode import write_mp4

    folder.mkdir(parents=True, exist_ok=True)
    for request in requests:
        if (folder / f"{request.name}.json").exists():
            continue
        note(f"generate {folder.name}/{request.name}")
        masks = MaskSequence.load(request.masks).masks
        visible_masks = masks if mask_term else masks & False
        frames = np.where(visible_masks[..., None], np.uint8(230), np.uint8(40)).repeat(3, axis=-1)
        write_mp4(folder / f"{request.name}.mp4", frames, 8.0)
        np.savez_compressed(folder / f"{request.name}.npz", frames=frames)
        (folder / f"{request.name}.json").write_text(
            json.dumps({"prompt": request.prompt, "sampled": [config.scheduler, config.steps]})
        )
    return folder


def judge_generated_video(video: Path, request: Any, pack: Pack, config: Any) -> Any:
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.adherence import Detections
    from mvmodel.metrics.judge import Judgement
    from mvmodel.video.frames import read_frames

    note(f"score {video.parent.name}/{video.stem}")
    foreground = read_frames(video).max(axis=-1) > 140
    masks = MaskSequence.load(request.masks).masks
    iou = float((foreground & masks).sum() / max(1, (foreground | masks).sum()))
    worse = float(os.environ.get("STAND_IN_WORSE", "0"))
    metrics = {"iou": iou - worse, "alignment": 0.5 - worse, "consistency": 0.9, "motion": 1.0}
    record = {"scorer": "stand-in", "scorer_weights": "", "scorer_preprocess": ""}
    return Judgement(metrics, Detections(foreground), scorer=record)


def install(patch: Any = setattr) -> None:
    """Put the stand-ins in the library's place; `patch(object, name, value)` may be a monkeypatch's setattr."""
    import mvmodel.generation.requests as generation
    import mvmodel.segmentation.selection as selection
    import mvmodel.training.finetune as training
    from pipelines.promotion import evaluation

    patch(selection, "extract_masks", extract_masks)
    patch(training, "finetune", finetune)
    patch(generation, "first_frames", first_frames)
    patch(generation, "generate", generate)
    patch(evaluation, "judge_generated_video", judge_generated_video)
    patch(evaluation, "_measure_iou", lambda *judged: judge_generated_video(*judged).metrics["iou"])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    install()
    from pipelines.driver.cli import main

    sys.exit(main(sys.argv[1:]))

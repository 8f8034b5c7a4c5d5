"""How good an adapter is, before anybody may use it: a few videos on masks and prompts that it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.code_version import code_version
from mvmodel.files import hash_file
from pipelines.store.version_store import VersionStore, recipe_hash

if TYPE_CHECKING:
    from mvmodel.generation.requests import Request
    from mvmodel.metrics.judge import Judgement
    from mvmodel.packs import Pack

CODE = code_version("mvmodel.backends.load", "mvmodel.generation.requests", "mvmodel.metrics.judge", files=(__file__,))
SCORING = code_version("mvmodel.metrics.judge", files=(__file__,))
"""What a video's metrics rest on: a changed report scores nothing again."""


def judge_generated_video(video: Path, request: Request, pack: Pack) -> Judgement:
    """Every metric of one generated video; `video` is its .npz."""
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.judge import judge_video
    from mvmodel.video.frames import read_frames

    frames = read_frames(video)
    masks = MaskSequence.load(request.masks).masks[: len(frames)]
    return judge_video(frames, masks, request.prompt, pack.scorer(), pack.segmenter())


def store_judgement(store: VersionStore, video: Path, request: Request, pack: Pack, judge_hash: str) -> Path:
    """A folder with metrics.json (metrics and the scorer's record) and detections.npz, where the judge found the object.

    Computed once for the same video, masks, prompt and judge. judge_hash: the hash of the pack's scorer and segmenter.
    """

    def fill(folder: Path) -> None:
        from mvmodel.masks import MaskSequence

        judgement = judge_generated_video(video, request, pack)
        assert judgement.detections is not None  # a pack has a segmenter and a scorer
        MaskSequence(judgement.detections.foreground, float(pack.info.fps)).save(folder / "detections.npz")
        (folder / "metrics.json").write_text(json.dumps({**judgement.metrics, **judgement.scorer}))

    inputs = {"video": hash_file(video), "masks": hash_file(request.masks), "prompt": request.prompt}
    return store.cache.get_or_build("scores", recipe_hash(**inputs, code=SCORING, pack=judge_hash), fill)


def evaluate(store: VersionStore, adapter: Path, adapter_sha: str, requests: Path, generation: Any, pack: Pack) -> Path:
    """A folder with metrics.json, rows.json (one entry per video) and videos/; computed once for the same inputs.

    metrics.json: the mean of every metric over the videos that have it, the number of `videos`, how many of
    them each mean is over (`counts`), and the names of the others (`missing`).

    adapter: an adapter's folder. requests: a folder with requests.csv and masks/, and what hashes as the set's version.
    """
    from mvmodel.files import hash_folder

    recipe = recipe_hash(
        adapter=adapter_sha,
        set=hash_folder(requests),
        config=generation.model_dump(mode="json"),
        code=CODE,
        pack=pack.hash,
    )
    return store.cache.get_or_build(
        "evaluation", recipe, lambda folder: _fill(folder, adapter, requests, generation, pack)
    )


def _fill(folder: Path, adapter: Path, requests: Path, generation: Any, pack: Pack) -> None:
    from mvmodel.backends.load import load_backend
    from mvmodel.generation.requests import first_frames, generate, read_requests
    from mvmodel.metrics.report_card import average_metrics

    asked = read_requests(requests / "requests.csv")
    backend = load_backend(pack)
    first = first_frames(backend, asked, generation, folder / "first_frames")
    generate(backend, adapter, asked, first, generation, folder / "videos")
    metrics = {r.name: judge_generated_video(folder / "videos" / f"{r.name}.npz", r, pack).metrics for r in asked}
    rows = [{"name": r.name, "prompt": r.prompt, **metrics[r.name]} for r in asked]
    card = average_metrics(metrics)
    (folder / "rows.json").write_text(json.dumps(rows, indent=1))
    summary = {**card.means, "videos": card.videos, "counts": card.counts, "missing": card.missing}
    (folder / "metrics.json").write_text(json.dumps(summary, indent=1))

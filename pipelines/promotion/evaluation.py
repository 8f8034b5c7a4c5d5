"""How good an adapter is before it can be promoted: a few videos on masks and prompts it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.code_version import code_version
from mvmodel.files import empty_folder, hash_file, hash_folder
from mvmodel.metrics.config import JudgeConfig
from pipelines.promotion.gates import IOU_WITHOUT_MASK
from pipelines.settings import EvaluationConfig
from pipelines.store.version_store import VersionStore, recipe_hash

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.cache import Cache
    from mvmodel.generation.requests import Request
    from mvmodel.metrics.judge import Judgement
    from mvmodel.packs import Pack
    from mvmodel.workers import Workers

EVALUATION_CODE = code_version(
    "mvmodel.backends.load", "mvmodel.generation.requests", "mvmodel.metrics.judge", files=(__file__,)
)
JUDGE_CODE = code_version("mvmodel.metrics.judge", files=(__file__,))
"""What a video's metrics depend on. A change to the reports does not measure any video again."""


def write_evaluation_requests(training: Path, folder: Path, motion: str, config: EvaluationConfig, pack: Pack) -> Path:
    """Write the fixed requests that a motion's adapters are measured on to `folder`: held-out masks, other objects.

    training: a `training_set` version's folder. Without held-out clips, the first training clip takes their place.
    """
    from mvmodel.generation.default_requests import write_default_requests
    from mvmodel.training.training_set import read_training_set

    train, held_out = read_training_set(training)
    clips = [*held_out, *train][: max(len(held_out), 1)]
    objects, fps = list(pack.info.objects), float(pack.info.fps)
    return write_default_requests(empty_folder(folder), motion, clips, objects, fps, config.count, config.seed)


def describe_independent_judge() -> str:
    """The hash of the independent judge's weights, for recipes; "" where it is not on this machine."""
    from mvmodel.segmentation.downloads import U2NETP_SHA256, find_segmenter

    return "" if find_segmenter("u2netp") is None else U2NETP_SHA256


def judge_generated_video(video: Path, request: Request, pack: Pack, config: JudgeConfig) -> Judgement:
    """Measure one generated video with every metric. video: its .npz."""
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.judge import judge_with_pack
    from mvmodel.video.frames import read_frames

    frames = read_frames(video)
    masks = MaskSequence.load(request.masks).masks[: len(frames)]
    return judge_with_pack(pack, frames, masks, request.prompt, config=config)


def store_judgement(
    cache: Cache, video: Path, request: Request, pack: Pack, judge_hash: str, config: JudgeConfig
) -> Path:
    """A folder with metrics.json (metrics and the judgement's record) and detections.npz (where the object was seen).

    Computed once for the same video, masks, prompt, judge and settings. judge_hash: the hash of the pack's scorer and
    segmenter.
    """

    def build(folder: Path) -> None:
        from mvmodel.masks import MaskSequence

        judgement = judge_generated_video(video, request, pack, config)
        assert judgement.detections is not None  # a pack has a segmenter and a scorer
        MaskSequence(judgement.detections.foreground, float(pack.info.fps)).save(folder / "detections.npz")
        (folder / "metrics.json").write_text(json.dumps({**judgement.metrics, **judgement.record}))

    inputs: dict[str, Any] = {"video": hash_file(video), "masks": hash_file(request.masks), "prompt": request.prompt}
    inputs["judge"] = config.model_dump(mode="json")
    return cache.get_or_build(
        "scores",
        recipe_hash(**inputs, code=JUDGE_CODE, pack=judge_hash, independent=describe_independent_judge()),
        build,
    )


def evaluate(
    store: VersionStore,
    adapter: Path,
    adapter_sha: str,
    requests: Path,
    generation: GenerationConfig,
    pack: Pack,
    workers: Workers,
    judge: JudgeConfig,
) -> Path:
    """A folder with metrics.json, rows.json (one entry per video) and videos/; computed once for the same inputs.

    metrics.json: the mean of every metric over the videos that have it, the number of `videos`, how many of
    them each mean is over (`counts`), and the names of the others (`missing`).

    adapter: an adapter's folder. requests: a folder with requests.csv and masks/. judge: how the videos are measured;
    if it does not look at all frames, metrics.json has `detection_frames`.
    """
    recipe = recipe_hash(
        adapter=adapter_sha,
        set=hash_folder(requests),
        config=generation.model_dump(mode="json"),
        code=EVALUATION_CODE,
        pack=pack.hash,
        judge=judge.model_dump(mode="json"),
        independent=describe_independent_judge(),
    )

    def build(folder: Path) -> None:
        _generate_and_judge(folder, adapter, requests, generation, pack, workers, judge)

    return store.cache.get_or_build("evaluation", recipe, build)


def _measure_without_mask(
    folder: Path,
    backend: Backend,
    adapter: Path,
    requests: Sequence[Request],
    first_frames: Path,
    generation: GenerationConfig,
    pack: Pack,
    workers: Workers,
    judge: JudgeConfig,
) -> float:
    """The mean IoU of the same videos with the mask term off: what an adapter that ignores its masks would reach."""
    from mvmodel.generation.requests import generate

    videos = folder / "videos_without_mask"
    generate(backend, adapter, requests, first_frames, generation, videos, mask_term=False, workers=workers)
    values = workers.map(_measure_iou, [(videos / f"{request.name}.npz", request, pack, judge) for request in requests])
    return sum(values) / len(requests)


def _measure_iou(video: Path, request: Request, pack: Pack, config: JudgeConfig) -> float:
    """The `iou` of `judge_generated_video` alone, in a third of the time."""
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.judge import get_object_words, judge_iou
    from mvmodel.video.frames import read_frames

    frames = read_frames(video)
    masks = MaskSequence.load(request.masks).masks[: len(frames)]
    words = get_object_words(request.prompt, None, pack.scorer())
    return float(judge_iou(frames, masks, pack.scorer(), pack.segmenter(), words, config).mean())


def _generate_and_judge(
    folder: Path,
    adapter: Path,
    table: Path,
    generation: GenerationConfig,
    pack: Pack,
    workers: Workers,
    judge: JudgeConfig,
) -> None:
    from mvmodel.backends.load import load_backend
    from mvmodel.generation.request_table import read_requests
    from mvmodel.generation.requests import first_frames, generate
    from mvmodel.metrics.report_card import average_metrics

    requests = read_requests(table / "requests.csv")
    backend, videos = load_backend(pack), folder / "videos"
    first = first_frames(backend, requests, generation, folder / "first_frames", workers=workers)
    generate(backend, adapter, requests, first, generation, videos, workers=workers)
    judgements = workers.map(judge_generated_video, [(videos / f"{r.name}.npz", r, pack, judge) for r in requests])
    metrics = {r.name: judgement.metrics for r, judgement in zip(requests, judgements, strict=True)}
    rows = [{"name": r.name, "prompt": r.prompt, **metrics[r.name]} for r in requests]
    looked_at = {key: j.record[key] for j in judgements for key in ("detection_frames",) if key in j.record}
    card = average_metrics(metrics)
    (folder / "rows.json").write_text(json.dumps(rows, indent=1))
    without_mask = _measure_without_mask(folder, backend, adapter, requests, first, generation, pack, workers, judge)
    summary = {
        **card.means,
        IOU_WITHOUT_MASK: without_mask,
        "videos": card.videos,
        "counts": card.counts,
        "missing": card.missing,
        **looked_at,
    }
    (folder / "metrics.json").write_text(json.dumps(summary, indent=1))

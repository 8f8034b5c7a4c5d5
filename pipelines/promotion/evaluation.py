"""How good an adapter is, before anybody may use it: a few videos on masks and prompts that it was not trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.code_version import code_version
from mvmodel.files import hash_file
from mvmodel.text import find_object_words
from pipelines.store.version_store import VersionStore, recipe_hash

if TYPE_CHECKING:
    import numpy as np

    from mvmodel.packs import Pack

CODE = code_version("mvmodel.generation.requests", "mvmodel.metrics.score", files=(__file__,))
SCORING = code_version("mvmodel.metrics.score", files=(__file__,))
"""What a video's metrics rest on: a changed report scores nothing again."""


@dataclass(frozen=True)
class Scored:
    """A generated video's metrics, what the judge took for the object, bool (frames, height, width), and which scorer
    said so (name, hash of its weights, preprocessing)."""

    metrics: dict[str, float]
    found: np.ndarray
    scorer: dict[str, str]


def score(video: Path, request: Any, pack: Pack) -> Scored:
    """Every metric of one generated video; `video` is its .npz."""
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics import adherence
    from mvmodel.metrics.score import score_video
    from mvmodel.video.frames import read_frames

    frames = read_frames(video)
    masks = MaskSequence.load(request.masks).masks[: len(frames)]
    scorer, segmenter = pack.scorer(), pack.segmenter()
    words = find_object_words(request.prompt, list(pack.info.objects)) or [request.prompt]
    seen = adherence.detect(frames, segmenter, scorer, words)
    metrics = score_video(frames, masks, request.prompt, scorer, segmenter, object_word=words, foreground=seen)
    return Scored(metrics, seen.foreground, scorer.record)


def scored(store: VersionStore, video: Path, request: Any, pack: Pack, judges: str) -> Path:
    """A folder with metrics.json (metrics, scorer) and detections.npz, where the judge saw the object; made once.

    judges: the hash of the pack's scorer and segmenter.
    """

    def fill(folder: Path) -> None:
        from mvmodel.masks import MaskSequence

        found = score(video, request, pack)
        MaskSequence(found.found, float(pack.info.fps)).save(folder / "detections.npz")
        (folder / "metrics.json").write_text(json.dumps({**found.metrics, **found.scorer}))

    made_of = {"video": hash_file(video), "masks": hash_file(request.masks), "prompt": request.prompt}
    return store.item("scores", recipe_hash(**made_of, code=SCORING, pack=judges), fill)


def evaluate(store: VersionStore, adapter: Path, adapter_sha: str, requests: Path, generation: Any, pack: Pack) -> Path:
    """A folder with metrics.json (means), rows.json (one entry a video) and videos/; made once for the same parts.

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
    return store.item("evaluation", recipe, lambda folder: _fill(folder, adapter, requests, generation, pack))


def _fill(folder: Path, adapter: Path, requests: Path, generation: Any, pack: Pack) -> None:
    import numpy as np

    from mvmodel.generation.requests import first_frames, generate, read_requests

    wanted = read_requests(requests / "requests.csv")
    first = first_frames(pack, wanted, generation, folder / "first_frames")
    generate(pack, adapter, wanted, first, generation, folder / "videos")
    rows: list[dict[str, Any]] = [
        {"name": r.name, "prompt": r.prompt, **score(folder / "videos" / f"{r.name}.npz", r, pack).metrics}
        for r in wanted
    ]
    names = {name for row in rows for name, value in row.items() if isinstance(value, float)}
    metrics = {name: float(np.mean([row.get(name, 0.0) for row in rows])) for name in sorted(names)}
    (folder / "rows.json").write_text(json.dumps(rows, indent=1))
    (folder / "metrics.json").write_text(json.dumps({**metrics, "videos": len(rows)}, indent=1))

"""Clips to foreground masks: segment anything, prompted by what moves, carried from frame to frame."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.resources import PackResource, Settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle, recipe_hash

CODE = code_version("mvmodel.segmentation.tracking", "mvmodel.masks.files", files=(__file__,))


@mvmodel_asset("masks", "pytorch", "parquet", gpu=True, code_version=CODE)
def foreground_masks(
    context: dg.AssetExecutionContext,
    clips: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """A mask sequence per clip and its quality metrics; masks that came with a clip are taken as they are.

    A clip's masks are kept, so that one more clip costs one clip.
    """
    from mvmodel.masks.clip_masks import load_clip_masks
    from mvmodel.segmentation.config import ExtractConfig
    from mvmodel.segmentation.quality import measure_quality
    from mvmodel.segmentation.tracking import extract_masks
    from mvmodel.video.catalogue import Catalogue

    catalogue = Catalogue.load(clips.folder)
    config = settings.read("masks", ExtractConfig)
    model = pack.recipe("segmenter")
    own = _supplied_mask_hashes(settings.clips_folder, list(catalogue.table["masks"]))

    def build(folder: Path) -> None:
        import pandas as pd

        rows = []
        for clip in catalogue.table.itertuples():

            def fill(item: Path, clip: Any = clip) -> None:
                taken = load_clip_masks(settings.clips_folder, catalogue.row(clip.clip))
                if taken is not None:
                    taken.save(item / "masks.npz")
                    # What a user supplied is used; its metrics and what speaks against it are shown all the same.
                    said = {
                        **_as_json_values(measure_quality(taken.masks, config=config.quality)),
                        "weak": False,
                        "source": "own",
                    }
                else:
                    found = extract_masks(catalogue.frames(clip.clip), pack.load().segmenter(), config, fps=clip.fps)
                    found.sequence.save(item / "masks.npz")
                    said = {**_as_json_values(found.quality), "source": "segmenter"}
                (item / "quality.json").write_text(json.dumps(said))

            made_of = {"content": clip.content, "fps": clip.fps, "code": CODE, "pack": model["hash"]}
            made_of["own"] = own.get(str(clip.masks), "")
            item = store.store.cache.get_or_build(
                "masks", recipe_hash(config=config.model_dump(mode="json"), **made_of), fill
            )
            shutil.copyfile(item / "masks.npz", folder / f"{clip.clip}.npz")
            rows.append({"clip": clip.clip, **json.loads((item / "quality.json").read_text())})
        pd.DataFrame(rows).to_parquet(folder / "quality.parquet", index=False)

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        from mvmodel.masks import MaskSequence

        quality = pd.read_parquet(folder / "quality.parquet")
        metadata: dict[str, Any] = {"clips": len(quality), "quality": ui_metadata.table(quality)}
        if not len(quality):
            return metadata
        metrics = {str(name): value for name, value in quality.select_dtypes("number").mean().items()}
        metadata |= {"weak": int(quality["weak"].sum()), **ui_metadata.finite_numbers(metrics, "mean_")}
        shown = []
        for clip in quality["clip"].head(32):
            frames, masks = catalogue.frames(clip), MaskSequence.load(folder / f"{clip}.npz").masks
            middle = len(frames) // 2
            shown.append(ui_metadata.dim_background(frames[middle], masks[middle]))
        return {**metadata, "sheet": ui_metadata.inline_image(ui_metadata.image_grid(shown), "foreground")}

    recorded = {"extract": config.model_dump(mode="json"), "own_masks": own}
    return store.step(context, {"clips": clips}, recorded, build, describe, pack=model)


def read_mask_quality(folder: Path) -> Any:
    """The quality table of a `foreground_masks` version, one row a clip."""
    import pandas as pd

    return pd.read_parquet(folder / "quality.parquet")


def _supplied_mask_hashes(folder: Path, named: list[str]) -> dict[str, str]:
    """Hashes of the masks that came with the clips: editing them is a change, though the clips stay the same."""
    from mvmodel.files import hash_file, hash_folder

    found = {name: folder / name for name in sorted(set(named)) if name}
    return {name: hash_folder(path) if path.is_dir() else hash_file(path) for name, path in found.items()}


def _as_json_values(quality: Any) -> dict[str, Any]:
    """A quality record as numbers and text."""
    values = quality.model_dump() if hasattr(quality, "model_dump") else dict(vars(quality))
    lists = (list, tuple)
    return {
        n: "; ".join(map(str, v)) if isinstance(v, lists) else getattr(v, "item", lambda v=v: v)()
        for n, v in values.items()
    }

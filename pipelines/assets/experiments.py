"""The experiments of `mvmodel.experiments`, a motion each or over all motions; on demand only.

They go on cell by cell in the work folder that outlives a kill. Sizes: section `experiments` of the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines import preview, promotion
from pipelines.artefacts import ArtifactStore, Inputs, current
from pipelines.assets.common import stage
from pipelines.assets.motion import read_groups
from pipelines.assets.training import read_set
from pipelines.partitions import motions
from pipelines.progress import say
from pipelines.promotion import ADAPTER
from pipelines.resources import PackResource, Settings
from pipelines.store import Handle
from pipelines.versions import code_version

if TYPE_CHECKING:
    from mvmodel.experiments import Subject

CODE = code_version("mvmodel.experiments.results", files=(__file__,))
PER_MOTION = {
    "ablation_study": "Parts of the method left out one by one, and what training brings against what the mask does.",
    "noise_sharing_sweep": "Alpha from 0 to 0.5 in three ways of mixing: colour drift against motion.",
    "mask_generalization": "Shapes, sizes, motions and objects that the motion's clips do not have.",
    "mask_robustness": "Masks eroded, dilated, shifted and dropped, level by level.",
    "first_frame_sensitivity": "A wrong, moved or noisy frame 1, and how its fault travels along the frames.",
}
"""Asset -> what it answers."""
SHEET = 12
"""Videos on the contact sheet."""


def _of_motion(name: str, said: str) -> dg.AssetsDefinition:
    """The asset of one experiment on one motion."""

    def experiment(
        context: dg.AssetExecutionContext,
        training_set: Handle,
        generation_requests: Handle,
        promoted_adapter: Handle,
        settings: Settings,
        pack: PackResource,
        store: ArtifactStore,
    ) -> dg.MaterializeResult[Handle]:
        adapter = promotion.pointed_at(promoted_adapter, store.store).folder / ADAPTER
        inputs = {
            "training_set": training_set,
            "generation_requests": generation_requests,
            "promoted_adapter": promoted_adapter,
        }

        def subject() -> Subject:
            return _subject(context.partition_key, pack, adapter, generation_requests, training_set)

        return _run(context, name, subject, inputs, settings, pack, store)

    experiment.__name__, experiment.__doc__ = name, said
    made = stage("experiments", "pytorch", "parquet", gpu=True, partitions_def=motions, code_version=CODE, name=name)
    return made(experiment)


@stage(
    "experiments",
    "pytorch",
    "parquet",
    gpu=True,
    code_version=CODE,
    deps=[
        dg.AssetDep(asset, partition_mapping=dg.AllPartitionMapping())
        for asset in ("training_set", "generation_requests", "promoted_adapter")
    ],
)
def zero_shot_motion(
    context: dg.AssetExecutionContext,
    motion_groups: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Each motion held out in turn: an adapter of the other motions' clips against one of its own."""
    instance = context.instance
    ready = instance.get_materialized_partitions(dg.AssetKey("promoted_adapter"))
    inputs: dict[str, dict[str, Handle]] = {
        name: {
            motion: current(instance, store.store, name, motion)
            for motion in sorted(set(read_groups(motion_groups.folder)["motions"]) & set(ready))
        }
        for name in ("training_set", "generation_requests", "promoted_adapter")
    }

    def subject() -> Subject:
        import dataclasses

        every = {
            motion: _subject(
                motion,
                pack,
                promotion.pointed_at(pointer, store.store).folder / ADAPTER,
                inputs["generation_requests"][motion],
                inputs["training_set"][motion],
            )
            for motion, pointer in inputs["promoted_adapter"].items()
        }
        if not every:
            raise dg.Failure("no motion has a promoted adapter yet; run the motions first", allow_retries=False)
        first = next(iter(every))
        return dataclasses.replace(every.pop(first), others=every)

    return _run(context, "zero_shot_motion", subject, inputs, settings, pack, store)


def _subject(motion: str, pack: PackResource, adapter: Path, requests: Handle, training: Handle) -> Subject:
    from mvmodel.experiments import Subject
    from mvmodel.generation.requests import read_requests

    train, _ = read_set(training.folder)
    return Subject(motion, pack.load(), adapter, read_requests(requests.folder / "requests.csv"), train)


def _run(
    context: dg.AssetExecutionContext,
    name: str,
    subject: Any,
    inputs: Inputs,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    from mvmodel.experiments import EXPERIMENTS, ExperimentsConfig, run_experiment
    from mvmodel.generation.config import GenerationConfig

    generation = settings.read("generation", GenerationConfig)
    config = settings.read("experiments", ExperimentsConfig, generation=generation)
    own = EXPERIMENTS[name].section
    recorded = config.model_dump(mode="json", include={"generation", own, "training", "seed"})

    def build(folder: Path) -> None:
        def told(done: int, of: int, what: str) -> None:
            say(f"    {name} {done}/{of}: {what}")

        run_experiment(name, subject(), config, folder, told)

    kept = ("cells", "adapters", "first_frames")
    return store.step(context, inputs, recorded, build, describe, pack.recipe(), leave_out=kept)


def describe(folder: Path) -> dict[str, Any]:
    """Metadata of an experiment: its conclusion, plots, table and contact sheet, and the mean of every figure."""
    import pandas as pd
    from PIL import Image

    from mvmodel.metrics.score import METRICS

    table = pd.read_parquet(folder / "videos.parquet")
    summary = pd.read_csv(folder / "summary.csv")
    metadata: dict[str, Any] = {
        "conclusion": dg.MetadataValue.md((folder / "conclusion.md").read_text()),
        "videos": len(table),
        "prompts": int(table["prompt"].nunique()),
        "seeds": int(table["seed"].nunique()),
        "summary": preview.table(summary[summary["metric"] == "iou"], rows=60),
        **preview.numbers({metric: table[metric].mean() for metric in METRICS if metric in table.columns}),
    }
    for plot in sorted(folder.glob("*.png")):
        with Image.open(plot) as image:
            metadata[f"plot_{plot.stem}"] = preview.picture(image, plot.stem)
    if strips := sorted((folder / "sheets").glob("*.png"))[:SHEET]:
        metadata["sheet"] = preview.picture(_stacked(strips), "one video a row")
    return metadata


def _stacked(strips: list[Path]) -> Any:
    import numpy as np
    from PIL import Image

    opened = [np.asarray(Image.open(strip).convert("RGB")) for strip in strips]
    width = min(picture.shape[1] for picture in opened)
    return Image.fromarray(np.concatenate([picture[:, :width] for picture in opened]))


per_motion = [_of_motion(name, said) for name, said in PER_MOTION.items()]
all_experiments = [*per_motion, zero_shot_motion]

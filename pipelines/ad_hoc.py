"""The job "generate": one video by a promoted adapter, from a form in Dagster's launchpad.

Unlike the assets, it belongs to no motion's report and is not measured: it is for trying something.
"""

# Dagster does not take the text of an annotation for the type of an op's context: no `annotations` from __future__.
import shutil
from pathlib import Path
from typing import Any, Optional

import dagster as dg
from pydantic import Field

from mvmodel.errors import InputError
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import GPU_POOL, user_errors_as_failures
from pipelines.assets.generation import write_listed_requests
from pipelines.promotion import promotion
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.resource_requests import resource_tags
from pipelines.resources import PackResource, Settings
from pipelines.stage_config import plain_values, section_form, without_empty_tables
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.materializations import latest_materialization, load_current

FOLDER = "generated"
"""Folder of the home with what this job makes."""


class GenerateConfig(dg.Config):
    """One video."""

    prompt: str = Field(description="What the video shows, for example: a photo of a dog on a beach.")
    masks: str = Field(
        default="words: the object moves from left to right",
        description="Where the object is: `words: A SENTENCE`, `library: NAME` of a clip in the mask library, or an "
        "absolute path of a file that `mvmodel masks` reads. Edits may follow after a |, such as `| flip`.",
    )
    motion: str = Field(description="Name of the motion whose promoted adapter is used, for example gallop.")
    seed: int = Field(default=0, ge=0, description="Another seed gives another video of the same.")
    negative_prompt: str = Field(default="", description="What the video should not show.")
    name: str = Field(
        default="video",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$",
        description="Name of the file in the home's folder `generated`. A number is added if there is one already.",
    )
    generation: Optional[section_form("generation")] = Field(  # type: ignore[valid-type]  # noqa: UP045
        default=None,
        description="How it is generated. What is left out is as in the settings of the home.",
    )


EXAMPLE = {
    "prompt": "a photo of a dog on a beach",
    "masks": "words: the object moves from left to right",
    "motion": "gallop",
    "seed": 0,
    "negative_prompt": "",
    "name": "video",
    "generation": {},
}
"""What the launchpad opens with."""


@dg.op(pool=GPU_POOL, tags=resource_tags(gpu=True), description="Generates one video by a promoted adapter.")
@user_errors_as_failures
def generate_video(
    context: dg.OpExecutionContext, config: GenerateConfig, settings: Settings, pack: PackResource, store: ArtifactStore
) -> None:
    """The one step of the job."""
    from mvmodel.generation import requests
    from mvmodel.generation.request_table import read_requests
    from mvmodel.video.frames import read_frames

    form = plain_values(context.op_config.get("generation") or {})
    settings = settings.with_override({"generation": without_empty_tables(form)})
    adapter = promotion.find_promoted(context.instance, store.store, config.motion)
    if adapter is None:
        names = ", ".join(sorted(context.instance.get_dynamic_partitions("motion"))) or "none yet"
        raise InputError(f"no adapter of {config.motion!r} is promoted; motions: {names}")
    has_library = latest_materialization(context.instance, dg.AssetKey("mask_library")) is not None
    library = load_current(context.instance, store.store, "mask_library") if has_library else None
    work = settings.home_folder / "work" / f"generate-{context.run_id}"
    request = requests.Request(
        name=config.name,
        motion=config.motion,
        prompt=config.prompt,
        masks=work / "masks" / f"{config.name}.npz",
        seed=config.seed,
        negative_prompt=config.negative_prompt,
        source=config.masks,
    )
    work.mkdir(parents=True)
    try:
        write_listed_requests(work, config.motion, [request], work, pack.load(), library, "crop")
        requests_with_masks = read_requests(work / "requests.csv")
        generation = pack.generation(settings)
        frames = requests.first_frames(pack.backend(), requests_with_masks, generation, work / "frames")
        requests.generate(
            pack.backend(), adapter.folder / TUNED_ADAPTER, requests_with_masks, frames, generation, work / "videos"
        )
        target = _free_path(settings.home_folder / FOLDER / f"{config.name}.mp4")
        target.parent.mkdir(exist_ok=True)
        sheet = ui_metadata.video_rows([read_frames(work / "videos" / f"{config.name}.npz")], config.prompt)
        for suffix in (".json", ".mp4"):
            shutil.copyfile(work / "videos" / f"{config.name}{suffix}", target.with_suffix(suffix))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    metadata: dict[str, Any] = {"video": dg.MetadataValue.path(str(target)), "adapter": adapter.sha, "sheet": sheet}
    context.log_event(dg.AssetObservation("generated_videos", metadata=metadata, partition=config.motion))
    context.log.info(f"wrote {target}")


def _free_path(path: Path) -> Path:
    """The path, or the first one with a number that does not exist: nothing is overwritten."""
    number = 2
    free = path
    while free.exists() or free.with_suffix(".json").exists():
        free = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return free


@dg.job(
    config={"ops": {"generate_video": {"config": EXAMPLE}}},
    description="Generates one video from a prompt, masks and a seed, by the promoted adapter of a motion.",
)
def generate() -> None:
    """The job."""
    generate_video()

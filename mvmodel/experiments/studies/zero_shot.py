"""One adapter over many motions against one per motion, on motions that the first has never seen."""

from __future__ import annotations

from matplotlib.figure import Figure

from mvmodel.errors import InputError
from mvmodel.experiments import plots
from mvmodel.experiments.bench import Bench
from mvmodel.experiments.cells import Cell
from mvmodel.experiments.compare import compute_difference, describe_verdict, select_rows
from mvmodel.experiments.config import ZeroShotConfig
from mvmodel.experiments.experiment import Claim, Conclusion, Experiment, Tables

TUNING_LABELS: dict[str, str] = {
    "own": "the motion's own clips",
    "many": "all other motions together",
    "other": "one other motion",
    "nothing": "nothing",
}


class ZeroShot(Experiment[ZeroShotConfig]):
    name = "zero_shot_motion"
    title = "Motions that were never tuned on"
    question = "Does one adapter over many motions carry over to a motion it has not seen, against one per motion?"
    factors = ("slug", "tuned_on")
    names = TUNING_LABELS
    per_motion = False
    headline = ("iou", "motion_cosine", "consistency", "motion", "alignment")
    config = ZeroShotConfig

    def cells(self, bench: Bench, config: ZeroShotConfig) -> list[Cell]:
        if len(bench.motions) < 2:
            raise InputError("zero-shot motion needs clips of two motions or more; there is one")
        start = bench.training.init_from if config.from_start else None
        how = bench.training.model_copy(update={"steps": config.tuning_steps, "init_from": start})
        generation = bench.generation_config(config)
        own_adapters = {motion.name: bench.tune(f"{motion.name} alone", motion.clips, how) for motion in bench.motions}
        cells = []
        for number, motion in enumerate(bench.motions):
            other_motions = [other_motion for other_motion in bench.motions if other_motion is not motion]
            clips = [clip for other_motion in other_motions for clip in other_motion.clips]
            many = bench.tune(f"all but {motion.name}", clips, how)
            one = own_adapters[bench.motions[(number + 1) % len(bench.motions)].name]
            adapters = {
                "own": own_adapters[motion.name],
                "many": many,
                "other": one,
                "nothing": bench.add_untuned_adapter(how),
            }
            cells += [
                Cell({"slug": motion.name, "tuned_on": tuned_on}, task, adapter, generation)
                for tuned_on, adapter in adapters.items()
                for task in bench.tasks(config, motion)
            ]
        return cells

    def plots(self, tables: Tables) -> dict[str, Figure]:
        metrics = ("iou", "motion_cosine", "alignment")
        overall = {"all_motions": plots.plot_bars(tables.videos, "tuned_on", metrics, TUNING_LABELS)}
        each = {
            str(slug): plots.plot_bars(select_rows(tables.videos, {"slug": slug}), "tuned_on", metrics, TUNING_LABELS)
            for slug in dict.fromkeys(tables.videos["slug"])
        }
        return {**overall, **each}

    def conclude(self, tables: Tables, config: ZeroShotConfig) -> Conclusion:
        rows = tables.videos
        gained = compute_difference(rows, {"tuned_on": "many"}, {"tuned_on": "nothing"}, "iou")
        against_own = compute_difference(rows, {"tuned_on": "many"}, {"tuned_on": "own"}, "iou")
        against_other = compute_difference(rows, {"tuned_on": "many"}, {"tuned_on": "other"}, "iou")
        direction_gap = compute_difference(rows, {"tuned_on": "many"}, {"tuned_on": "own"}, "motion_cosine")
        sentences = [
            f"On motions held out, an adapter tuned on the others has this much more IoU than none at all: {gained}.",
            f"Against an adapter tuned on the motion itself, with the same number of steps: {against_own}; "
            f"the foreground's direction follows the mask by {direction_gap} in motion cosine.",
            f"Against an adapter tuned on a single other motion: {against_other}.",
        ]
        claims = [
            Claim.from_verdict("tuning on other motions carries over", describe_verdict(gained, 1)),
            Claim.from_verdict("many motions carry over better than one", describe_verdict(against_other, 1)),
        ]
        return Conclusion(sentences, claims)

"""The experiments by name."""

from __future__ import annotations

from typing import Any

from mvmodel.experiments.experiment import Experiment
from mvmodel.experiments.studies.ablation import Ablation
from mvmodel.experiments.studies.first_frame import FirstFrameSensitivity
from mvmodel.experiments.studies.generalization import Generalization
from mvmodel.experiments.studies.length import Length
from mvmodel.experiments.studies.noise_sharing import NoiseSharing
from mvmodel.experiments.studies.robustness import Robustness
from mvmodel.experiments.studies.zero_shot import ZeroShot

EXPERIMENTS: dict[str, Experiment[Any]] = {
    experiment.name: experiment
    for experiment in (
        Ablation(),
        NoiseSharing(),
        Generalization(),
        Robustness(),
        FirstFrameSensitivity(),
        Length(),
        ZeroShot(),
    )
}
"""Name -> experiment; all but `zero_shot_motion` work on one motion."""

"""The experiments that the method's literature asks for, as grids of cells that resume where they were stopped.

config      sizes of every experiment, small by default, smaller still in `quick()`
grid        cells, their cache on disk, tables out of them
subject     what is experimented on (pack, adapter, requests, clips), and making and measuring its videos
ablations, noise_sharing, masks, first_frame, zero_shot
            the experiments: their cells, and the conclusion computed from their table
results     running one and writing table, plots, conclusion and configuration
"""

from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.results import EXPERIMENTS, run_experiment
from mvmodel.experiments.subject import Subject

__all__ = ["EXPERIMENTS", "ExperimentsConfig", "Subject", "run_experiment"]

"""What an experiment is: a question, a grid of cells, plots and a conclusion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from mvmodel.experiments.bench import Bench, CellResult
from mvmodel.experiments.cells import Cell
from mvmodel.experiments.config import ExperimentConfig

ConfigT = TypeVar("ConfigT", bound=ExperimentConfig)


@dataclass(frozen=True)
class Tables:
    """Results of a grid. videos: one row a video. frames: one row a video and frame. Both begin with the factors."""

    videos: pd.DataFrame
    frames: pd.DataFrame


@dataclass(frozen=True)
class Claim:
    """Something that the grid ought to show. holds: None when it could not be measured."""

    text: str
    holds: bool | None

    @classmethod
    def from_verdict(cls, text: str, verdict: str) -> Claim:
        """From the word of `mvmodel.experiments.compare.describe_verdict`."""
        return cls(f"{text} ({verdict})", None if verdict.startswith("could not") else verdict.startswith("holds"))


@dataclass(frozen=True)
class Conclusion:
    """Sentences computed from a table, and the claims among them."""

    sentences: Sequence[str]
    claims: Sequence[Claim] = field(default_factory=tuple)


class Experiment(ABC, Generic[ConfigT]):
    """One experiment. Sub-classes are stateless; `mvmodel.experiments.run.run_experiment` runs them."""

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    """What a reader wants to know, in a sentence."""
    factors: ClassVar[tuple[str, ...]]
    """Columns that say which cell of the grid a row is."""
    names: ClassVar[Mapping[str, str]] = {}
    """Values of factors -> how readers see them."""
    headline: ClassVar[tuple[str, ...]] = ("iou", "consistency", "alignment", "motion", "colour_drift")
    """Metrics in the short table; consistency never stands without motion."""
    per_motion: ClassVar[bool] = True
    """Whether it works on one motion, which has an adapter of its own."""
    config: type[ConfigT]

    def format_factor(self, value: object) -> str:
        """A factor's value as readers see it."""
        return f"{value:g}" if isinstance(value, float) else self.names.get(str(value), str(value))

    @abstractmethod
    def cells(self, bench: Bench, config: ConfigT) -> list[Cell]:
        """The grid. May tune adapters on the bench first."""

    def complete(self, tables: Tables, results: Sequence[CellResult], bench: Bench) -> Tables:
        """Add columns that need more than one cell; `results` are in the order of the rows."""
        return tables

    @abstractmethod
    def conclude(self, tables: Tables, config: ConfigT) -> Conclusion:
        """What the tables say. Everything in it is computed from them."""

    @abstractmethod
    def plots(self, tables: Tables) -> dict[str, Figure]:
        """Name -> drawing."""

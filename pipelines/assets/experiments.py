"""Experiments on the promoted adapters: on demand only, cell by cell, each cell made once whatever asks for it.

A study's sizes are in the section `experiments` of the settings: `{"quick": true}` for the smallest, or sizes under a
study's name, such as `{"mask_robustness": {"requests": 4}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.config import parse_config
from pipelines.assets import preview
from pipelines.assets.common import stage
from pipelines.assets.training import read_set
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.promotion import ADAPTER
from pipelines.resources import PackResource, Settings

"""Experiments on the promoted adapters: on demand only, cell by cell, each cell made once whatever asks for it.

A study's sizes are in the section `experiments` of the settings: `{"quick": true}` for the smallest, or sizes under a
study's name, such as `{"mask_robustness": {"requests": 4}}`.
"""

from __future__ import annotations

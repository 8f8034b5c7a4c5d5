"""mvmodel: mask-controlled video generation with few-shot motion adapters.

The library layer. Nothing in here imports Dagster, and importing this package imports neither torch nor OpenCV:
heavy modules are imported by the functions that need them.
"""

__version__ = "0.1.0"

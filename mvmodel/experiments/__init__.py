"""Experiments: grids of videos that differ in one thing, measured alike, with a conclusion computed from the table.

config      sizes that every experiment has
bench       what experiments work on: a pack, motions with clips and requests, adapters
cells       one video of a grid, and the cache that makes a killed run go on cell by cell
compare     paired differences with intervals, and sentences from them
plots       one style for all plots
run         an experiment into a folder: table, plots, conclusion, configuration
catalogue   the experiments by name
studies     one file an experiment: its grid, its plots, its conclusion
"""

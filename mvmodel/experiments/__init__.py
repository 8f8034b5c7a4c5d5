"""Experiments: grids of videos that differ in one setting, with a conclusion computed from the table of metrics.

config      sizes that every experiment has
bench       a pack, motions with clips and requests, adapters: everything that experiments run on
cells       one video of a grid, and its recipe
compare     paired differences with intervals, and sentences from them
plots       one style for all plots
run         an experiment into a folder: table, plots, conclusion, configuration
catalogue   the experiments by name
studies     one file an experiment: its grid, its plots, its conclusion
"""

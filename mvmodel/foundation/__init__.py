"""Trains the tiny pack from the motion world: autoencoder, text-to-image, ControlNet, segmenter, scorer, start adapter.

Every trainer here reads rendered pictures only, is resumable, and logs its curve (`curve.jsonl`) and sample grids.
"""

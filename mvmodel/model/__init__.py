"""The method: first-frame attention, mask cross-attention and temporal attention in one adapter.

Shape letters used here: B clips, F frames, N tokens of one frame, C channels, H heads, D channels of a head, L text
tokens. UNet batches are (B * F, ...), the frame index running fastest.
"""

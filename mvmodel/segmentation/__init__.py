"""From footage to a mask sequence: segment-anything, prompts that nobody has to click, and tracking.

Import from the modules: `segmenter` (Segmenter, foreground), `build` (load_sam), `track` (extract).
"""

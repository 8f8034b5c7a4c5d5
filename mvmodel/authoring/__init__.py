"""From an idea to a mask sequence: scenes with shapes on paths, simple physics, sentences, and a library of motions.

Import from the modules: `scene` (scene_to_masks), `text_to_masks`, `library` (Library), `mask_sources`.
"""

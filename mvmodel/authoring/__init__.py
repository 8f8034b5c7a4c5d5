"""From an idea to a mask sequence: shapes on paths, simple physics, words, and a library of what was seen before.

Import from the modules: `scene` (author), `grammar` (understand), `choreography` (perform), `library` (Library).
"""

"""From prompts and mask sequences to videos."""

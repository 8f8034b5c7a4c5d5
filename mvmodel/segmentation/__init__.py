"""From footage to a mask sequence: segment-anything, prompts without a click, and tracking."""

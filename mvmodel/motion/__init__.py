"""How a foreground moves: a descriptor of a mask sequence, and clips grouped into motions by it."""

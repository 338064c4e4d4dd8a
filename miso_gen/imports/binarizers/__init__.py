"""How imported pictures become black and white: one file each."""

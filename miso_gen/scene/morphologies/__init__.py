"""Sets of large silhouettes: one file each."""

"""Point processes: one file each."""

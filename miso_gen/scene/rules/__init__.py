"""Rules of cell fields: one file each."""

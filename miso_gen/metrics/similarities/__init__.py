"""How alike two maps are, one file each."""

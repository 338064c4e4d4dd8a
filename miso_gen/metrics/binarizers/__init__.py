"""Ways to make a map black and white, one file each."""

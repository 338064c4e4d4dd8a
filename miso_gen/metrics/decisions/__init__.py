"""Rules that make the class of an image from its patches, one file each."""

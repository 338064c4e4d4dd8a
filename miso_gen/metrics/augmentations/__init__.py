"""Changes of an image that a map should follow, or not mind, one file each."""

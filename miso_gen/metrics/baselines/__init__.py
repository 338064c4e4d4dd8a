"""What stands where pixels are removed, one file each."""

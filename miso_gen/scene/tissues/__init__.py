"""Where the cells of tissue images come from: one file each."""

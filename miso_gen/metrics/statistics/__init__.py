"""What can be said of many scores: means with intervals, comparisons, rankings. Needs no torch."""

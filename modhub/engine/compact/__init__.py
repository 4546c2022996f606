"""Running networks so that they can be made smaller: statistics, refits in order, and training a little at the end."""

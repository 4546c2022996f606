"""How good is a classifier? Figures from margins and labels alone: numpy, no network, no files, no clock."""

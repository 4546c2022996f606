"""Plots as PNG files, drawn by matplotlib (the extra ``modhub[plot]``). Equal values give equal bytes."""

"""From observed activity to modules: sampling, masks, heads, backtracking, indices. Pure numpy; no keras, no files."""

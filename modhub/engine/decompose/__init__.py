"""Run a model over data once, and make modules of what its sites showed."""

"""Updating modules for classes that their origin never saw: the part that runs no network. Pure, numpy only."""

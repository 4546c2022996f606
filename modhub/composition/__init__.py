"""Modules as one classifier: a pure plan of members and labels, and votes over their margins."""

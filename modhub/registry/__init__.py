"""Releases, records and the index that a registry keeps in a store: read, written, withdrawn, rebuilt."""

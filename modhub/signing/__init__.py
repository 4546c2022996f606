"""Signatures: who vouches for a release or a record, and whom this user believes. Pure: no file, no network."""

"""Administration of a registry: check and repair it, collect what nothing needs, take down, copy, archive."""

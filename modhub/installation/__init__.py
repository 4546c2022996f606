"""From names to verified modules on this machine: the context of a call, its registries, installing, running."""

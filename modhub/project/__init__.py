"""Projects: a folder with ``modhub.toml`` and ``modhub.lock``, and all that people do with one."""

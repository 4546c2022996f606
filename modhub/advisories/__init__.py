"""What registries say against modules, matched with those that somebody has, and written as OSV and SARIF. Pure."""

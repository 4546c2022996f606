"""The user's settings and keys: the configuration file, the environment, own and trusted keys."""

"""One file a command: its options, one call of ``modhub.api``, what is printed. Each file's command is ``command``."""

"""One file a command: its options, one call of ``modhub.ops``, what is printed. Each file's command is ``command``."""

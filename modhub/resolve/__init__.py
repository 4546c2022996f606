"""Pure: requests in, pinned modules or causes out."""

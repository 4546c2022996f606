"""Care for a registry: examining and repairing it, collecting what nothing needs, taking down, copying, carrying."""

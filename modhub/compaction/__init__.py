"""Making a network smaller without training: which blocks and channels go, and what the remaining weights become."""

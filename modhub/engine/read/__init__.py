"""From a Keras model, in memory or in a file, to an architecture with weights."""

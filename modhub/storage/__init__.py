"""Bytes under paths: the Store protocol, its implementations, and the suite that each of them passes."""

"""Labelled images and classes: arrays, folders, .npz files, shards, batches, data sets by name."""

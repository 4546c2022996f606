"""Between modules in memory and the manifest and blobs that a registry stores."""

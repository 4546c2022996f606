"""Images that are read as they are needed: from shards at a URL, from files, or from batches set down on disk."""

"""Names and formats, pure: references, digests, manifests, architectures, contracts, files of a registry."""

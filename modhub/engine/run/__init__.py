"""Run the modules of a plan: isolated, fused, sharing passes and prefixes, within memory."""

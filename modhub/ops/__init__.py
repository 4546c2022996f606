"""The public verbs, one file a verb. Each reads from top to bottom as the steps that it takes."""

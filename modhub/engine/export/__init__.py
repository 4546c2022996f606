"""Write a composite as a model that needs no modhub, and check the file."""

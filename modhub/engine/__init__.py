"""The only folder that imports keras: reading trained models, building networks from data, running them."""

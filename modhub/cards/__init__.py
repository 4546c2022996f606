"""Model cards: a README with YAML front matter read as a card, and a release's card written as Markdown. Pure."""

"""A registry as web pages: what was read of it as HTML, an index to search in the browser, and what a page needs."""

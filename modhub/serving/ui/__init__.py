"""A registry in the browser, live, on this machine: ``modhub ui``.

The pages are those of ``modhub.site``. Added is what needs computing: whether modules fit, and what they say of photos.
"""

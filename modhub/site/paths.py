"""The paths of a site's files, and the links between them. All links are relative, so a site can lie anywhere.

What stands in a path is a name, a version or a slug, as registries check them; every one is a folder or a file of its
own, so that no name can take another's place.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

#: Where a site lies inside its registry.
HOME: Final = "index.html"
COMPOSER: Final = "compose.html"
MODELS: Final = "models.html"
ABOUT: Final = "about.html"
MISSING: Final = "404.html"
#: What says that a folder holds a site, and which files are its.
SITE_MARKER: Final = "modhub-site.json"


def namespace_page(namespace: str) -> str:
    return f"namespaces/{namespace}.html"


def model_page(name: str) -> str:
    return f"models/{name}/index.html"


def release_page(name: str, version: str) -> str:
    return f"models/{name}/versions/{version}.html"


def module_page(name: str, slug: str) -> str:
    return f"models/{name}/modules/{slug}.html"


def overlap_picture(name: str, version: str) -> str:
    """A large overlap matrix as a picture."""
    return f"models/{name}/versions/{version}.png"


def relative(path: str, page: str) -> str:
    """The link from ``page`` to ``path``, both paths inside the site."""
    return "../" * page.count("/") + quote(path, safe="/.-_~")

"""What all pages have around them, and how a template becomes a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modhub.site import paths
from modhub.site.card_html import card_html
from modhub.site.text import (
    amount_of_bytes,
    grouped_digits,
    is_web_url,
    isolated,
    paragraphs,
    share_bar,
    share_text,
    short_digest,
    span_bar,
    unhidden,
)

_HERE: Final = Path(__file__).parent
#: What pages may load and do: files of the site itself, and nothing that stands inside a page. ``trusted-types`` makes
#: the browser refuse to take any text for HTML or code.
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@cache
def asset_files() -> Mapping[str, bytes]:
    """Style sheet, scripts and icon by name."""
    return {file.name: file.read_bytes() for file in sorted((_HERE / "assets").iterdir()) if file.is_file()}


@cache
def asset_folder() -> str:
    """Where they lie in a site: a folder named by what is in them, so that an old page finds its own."""
    digest = sha256(b"".join(name.encode() + b"\0" + data for name, data in asset_files().items()))
    return f"assets/{digest.hexdigest()[:12]}"


@dataclass(frozen=True)
class SiteShell:
    """What all pages say: the ``title`` of the site, and ``made_by``, which program made it.

    ``base_url`` is where the site will lie, for canonical links; None where it may lie anywhere. ``is_live``: the pages
    are served by ``modhub ui``, which can be asked.
    """

    title: str
    made_by: str
    base_url: str | None = None
    is_live: bool = False

    def page(self, template: str, path: str, **values: Any) -> bytes:
        """The page at ``path`` inside the site, as UTF-8."""
        context = {
            "shell": self,
            "path": path,
            "root": "../" * path.count("/"),
            "assets": "../" * path.count("/") + asset_folder(),
            "policy": CONTENT_POLICY,
            "canonical": None if self.base_url is None else f"{self.base_url}/{paths.relative(path, '')}",
            "link": lambda target: paths.relative(target, path),
        }
        return _environment().get_template(template).render(**context, **values).encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "bdi": isolated,
        "bytes": amount_of_bytes,
        "card": card_html,
        "digest": short_digest,
        "paragraphs": paragraphs,
        "percent": share_text,
        "count": grouped_digits,
        "visible": unhidden,
    }
    environment.tests["web_url"] = is_web_url
    environment.globals |= {"paths": paths, "bar": share_bar, "span_bar": span_bar}
    return environment

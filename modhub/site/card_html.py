"""A README as HTML: CommonMark with tables, no HTML of its own, links to the web only, and no picture from elsewhere.

markdown-it-py escapes all text. What a link may lead to is decided here: ``http`` and ``https``. A relative address has
nothing beside it to lead to, and inside a registry's bucket it would lead to files that others uploaded. Pictures are
not loaded, since that would tell their host who reads: their place has their text, linked to where they are.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

from modhub.site.text import is_web_url, unhidden

#: Characters of a README that are rendered; the rest is left out, and the page says so.
MOST_CHARS: Final = 200_000
#: Headings of a page above those of a card.
_HEADINGS_ABOVE: Final = 2


class CardRenderer(RendererHTML):
    """HTML of a card's Markdown."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """A picture's text in its place; what it shows stays where it is."""
        token = tokens[idx]
        text = self.renderInlineAsText(token.children or [], options, env).strip() or "no description"
        return str(Markup('<span class="picture">picture: {}</span>').format(text))

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """A link that leaves the site, which tells its target nothing."""
        return str(
            Markup('<a href="{}" rel="noopener noreferrer nofollow ugc">').format(tokens[idx].attrGet("href") or "")
        )


def _parser() -> MarkdownIt:
    parser = MarkdownIt(
        "commonmark", {"html": False, "linkify": False, "typographer": False}, renderer_cls=CardRenderer
    )
    parser.enable(["table", "strikethrough"])
    parser.validateLink = is_web_url  # type: ignore[method-assign]
    return parser


def _place(token: Token) -> None:
    """Headings go below those of the page, and columns are aligned by a class, since pages allow no style in them."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(6, int(token.tag[1]) + _HEADINGS_ABOVE)}"
    style = token.attrs.pop("style", None)
    if style is not None:
        token.attrs["class"] = {"text-align:right": "end", "text-align:center": "middle"}.get(str(style), "start")


def card_html(readme: str) -> Markup:
    """The Markdown of a README as HTML that can do nothing. Its headings are below those of the page."""
    text = unhidden(readme[:MOST_CHARS])
    try:
        parser = _parser()
        tokens = parser.parse(text)
        for token in tokens:
            _place(token)
        html = Markup(parser.renderer.render(tokens, parser.options, {}))
    except RecursionError:
        # Quotations in quotations, by the thousand.
        return Markup("<pre>{}</pre>").format(escape(text))
    if len(readme) > MOST_CHARS:
        html += Markup("<p><em>Only the beginning is shown; modhub card prints all of it.</em></p>")
    return html

"""What people say of a release: its card, as part of its content, and the README that it came from.

All fields are optional and left out of the file where they are empty, so that releases without a card keep the bytes
and the digest that they had before there were any. What is written here is the publisher's word; what modhub measured
stands elsewhere in the manifest.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from modhub.limits import MAX_CARD_ENTRIES
from modhub.spec.card_texts import Keyword, LicenseText, Paragraphs, WebUrl
from modhub.spec.schema import DigestText, DisplayName, Stored

_Names = Annotated[tuple[DisplayName, ...], Field(max_length=MAX_CARD_ENTRIES)]


def _empty(value: Any) -> bool:
    return not value


class TrainedOn(Stored):
    """Data that the network was trained on, as its publisher names it, with its licence."""

    name: DisplayName
    license: LicenseText | None = Field(default=None, exclude_if=_empty)
    url: WebUrl | None = Field(default=None, exclude_if=_empty)


class ReportedFigure(Stored):
    """A figure that the publisher reports (``model-index``); ``value`` is text, as it was written."""

    metric: DisplayName
    value: DisplayName
    data: DisplayName | None = Field(default=None, exclude_if=_empty)


class Card(Stored):
    """A release's card. ``license`` is an SPDX expression; ``license_name`` and ``license_url`` belong to a
    ``LicenseRef-`` in it. ``readme`` is the decoded digest of the README's blob."""

    license: LicenseText | None = Field(default=None, exclude_if=_empty)
    license_name: DisplayName | None = Field(default=None, exclude_if=_empty)
    license_url: WebUrl | None = Field(default=None, exclude_if=_empty)
    description: Paragraphs | None = Field(default=None, exclude_if=_empty)
    authors: _Names = Field(default=(), exclude_if=_empty)
    links: Annotated[dict[Keyword, WebUrl], Field(max_length=MAX_CARD_ENTRIES)] = Field(default={}, exclude_if=_empty)
    keywords: Annotated[tuple[Keyword, ...], Field(max_length=MAX_CARD_ENTRIES)] = Field(default=(), exclude_if=_empty)
    languages: _Names = Field(default=(), exclude_if=_empty)
    library: DisplayName | None = Field(default=None, exclude_if=_empty)
    base_models: _Names = Field(default=(), exclude_if=_empty)
    intended_use: Paragraphs | None = Field(default=None, exclude_if=_empty)
    limits: Paragraphs | None = Field(default=None, exclude_if=_empty)
    training_data: Annotated[tuple[TrainedOn, ...], Field(max_length=MAX_CARD_ENTRIES)] = Field(
        default=(), exclude_if=_empty
    )
    metrics: _Names = Field(default=(), exclude_if=_empty)
    reported: Annotated[tuple[ReportedFigure, ...], Field(max_length=MAX_CARD_ENTRIES)] = Field(
        default=(), exclude_if=_empty
    )
    readme: DigestText | None = Field(default=None, exclude_if=_empty)


@dataclass(frozen=True)
class CardFile:
    """A card with the README that it was read from: UTF-8, lines ended by ``\n``; empty where there is none."""

    card: Card
    readme: bytes = b""

    def inherited(self) -> "CardFile":
        """What goes along to modules that are made of these: whose they are, under which licence, trained on what."""
        kept = ("license", "license_name", "license_url", "authors", "training_data", "base_models")
        return CardFile(Card(**{name: getattr(self.card, name) for name in kept}))

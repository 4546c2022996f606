"""A README with front matter, as on the Hugging Face Hub, read as a card.

Keys that the Hub knows mean what they mean there (https://huggingface.co/docs/hub/model-cards#model-card-metadata);
``description``, ``authors``, ``links``, ``keywords``, ``intended_use``, ``limits`` and ``training_data`` are further
ones. Whatever else the front matter has stays in the README and is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from modhub.cards.front_matter import FrontMatter, YamlValue, bad_card, read_front_matter
from modhub.cards.hub_licenses import hub_license
from modhub.errors import NotFound, StorageError, UsageError, plain, shown
from modhub.limits import MAX_README_BYTES
from modhub.spec.card import Card, CardFile
from modhub.spec.digests import sha256
from modhub.spec.places import is_file

#: Keys that say the same, the first that is there counts.
_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "authors": ("authors",),
    "languages": ("language",),
    "base_models": ("base_model",),
    "metrics": ("metrics",),
}
_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "license_name": ("license_name",),
    "description": ("description", "model_description"),
    "library": ("library_name",),
    "intended_use": ("intended_use", "intended_uses"),
    "limits": ("limits", "limitations"),
}
_PROBLEMS: Final = {
    "string_pattern_mismatch": "it has control characters, or is no URL that begins with http:// or https://",
}
_WANTED_LIST: Final = "write a text, or a list of texts, one a line behind a dash."


def card_file(path: str | Path) -> CardFile:
    """The card in a file. Raises NotFound, StorageError, and UsageError, kind ``bad-card``, naming file and line."""
    if not is_file(path):
        raise NotFound(
            f"there is no file {path}.",
            kind="no-card",
            hint="name a README.md, as of a model on the Hub.",
            path=str(path),
        )
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_README_BYTES + 1)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}.", hint="get the right to read it.", path=str(path)
        ) from error
    return card_from(data, what=str(path))


def card_from(data: bytes, *, what: str = "the card") -> CardFile:
    """Untrusted bytes of a README as a card. Raises UsageError, kind ``bad-card``.

    >>> card_from(b"---\\nlicense: mit\\ntags: [digits]\\n---\\n# Digits\\n").card.license
    'MIT'
    """
    found = read_front_matter(data, what=what)
    readme = found.text.encode() if found.text.strip() else b""
    values = _Reader(found, what).fields()
    try:
        card = Card.model_validate({**values, "readme": sha256(readme) if readme else None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = plain(".".join(map(str, first["loc"])))
        line = found.lines.get(_key_of(str(first["loc"][0]), found), 1)
        problem = _PROBLEMS.get(str(first["type"]), plain(first["msg"]))
        raise bad_card(what, line, f"{place}: {problem}", "correct it, or leave it out.") from error
    return CardFile(card, readme)


def _key_of(field: str, found: FrontMatter) -> str:
    keys = {**_LISTS, **_TEXTS, "keywords": ("tags", "keywords"), "reported": ("model-index",)}.get(field, (field,))
    extra = {"training_data": "datasets", "license_url": "license_link"}.get(field, field)
    return next((key for key in (*keys, extra) if key in found.lines), field)


class _Reader:
    def __init__(self, found: FrontMatter, what: str) -> None:
        self._values, self._lines, self._what = found.values, found.lines, what

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {name: self._text(*keys) for name, keys in _TEXTS.items()}
        fields |= {name: tuple(self._names(*keys)) for name, keys in _LISTS.items()}
        fields["license"] = self._license(fields["license_name"])
        link = self._text("license_link")
        # The Hub allows a file of the repository there, such as LICENSE.
        fields["license_url"] = link if link is not None and link.startswith(("http://", "https://")) else None
        fields["keywords"] = tuple(dict.fromkeys([*self._names("keywords"), *self._names("tags")]))
        fields["links"] = self._links()
        fields["training_data"] = tuple(self._training_data())
        fields["reported"] = tuple(self._reported())
        return fields

    def _license(self, license_name: str | None) -> str | None:
        """Several licences of a list all apply, as far as the card says."""
        names = list(self._names("license"))
        try:
            found = [each for each in (hub_license(name, license_name) for name in names) if each is not None]
        except UsageError as error:
            raise self._bad("license", error.message.rstrip("."), error.hint or "") from error
        return (
            found[0]
            if len(found) == 1
            else " AND ".join(f"({each})" if " " in each else each for each in found) or None
        )

    def _text(self, *keys: str) -> str | None:
        key = next((key for key in keys if self._values.get(key) is not None), None)
        if key is None:
            return None
        value = self._values[key]
        if not isinstance(value, str):
            raise self._bad(key, f"{key} is {_kind(value)}", "write a text.")
        return value.strip() or None

    def _names(self, *keys: str) -> Iterator[str]:
        key = next((key for key in keys if self._values.get(key) is not None), None)
        value = None if key is None else self._values[key]
        if key is None or value is None:
            return
        for each in value if isinstance(value, list) else [value]:
            # Authors come as mappings in citation files, from which cards are copied.
            name = each.get("name") if isinstance(each, dict) else each
            if name is None and not isinstance(each, dict):
                continue
            if not isinstance(name, str):
                raise self._bad(key, f"{key} has {_kind(each)}", _WANTED_LIST)
            if name.strip():
                yield name.strip()

    def _links(self) -> dict[str, str]:
        value = self._values.get("links")
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(url, str) for url in value.values()):
            raise self._bad("links", f"links is {_kind(value)}", "write names with URLs, such as paper: https://...")
        return {name: str(url).strip() for name, url in value.items()}

    def _training_data(self) -> Iterator[dict[str, str | None]]:
        """``training_data`` says more than ``datasets``; of a set that is in both it counts."""
        told = self._values.get("training_data")
        entries: Sequence[YamlValue] = told if isinstance(told, list) else [told] if told is not None else []
        named = set()
        for entry in entries:
            fields = {"name": entry} if isinstance(entry, str) else entry
            if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
                hint = "write a name, or name, license and url of each."
                raise self._bad("training_data", f"training_data has {_kind(entry)} without a name", hint)
            try:
                text = fields.get("license")
                license_text = hub_license(text, fields.get("license_name")) if isinstance(text, str) else None
            except UsageError as error:
                raise self._bad("training_data", error.message.rstrip("."), error.hint or "") from error
            named.add(fields["name"])
            yield {"name": fields["name"], "license": license_text, "url": fields.get("url")}
        for name in dict.fromkeys(self._names("datasets")):
            if name not in named:
                yield {"name": name}

    def _reported(self) -> Iterator[dict[str, str | None]]:
        """The figures of ``model-index``, https://github.com/paperswithcode/model-index; what is incomplete is none."""
        for model in _mappings(self._values.get("model-index")):
            for result in _mappings(model.get("results")):
                data = result.get("dataset")
                name = data.get("name") or data.get("type") if isinstance(data, dict) else data
                for metric in _mappings(result.get("metrics")):
                    called, value = metric.get("name") or metric.get("type"), metric.get("value")
                    if isinstance(called, str) and isinstance(value, str):
                        yield {"metric": called, "value": value, "data": name if isinstance(name, str) else None}

    def _bad(self, key: str, reason: str, hint: str) -> UsageError:
        return bad_card(self._what, self._lines.get(key, 1), reason, hint)


def _mappings(value: YamlValue) -> Iterator[dict[str, Any]]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict):
            yield each


def _kind(value: YamlValue) -> str:
    if isinstance(value, str):
        return shown(value)
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a mapping"

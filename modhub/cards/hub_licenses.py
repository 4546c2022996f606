"""The licence names of the Hugging Face Hub, as SPDX expressions.

The Hub's list is at https://huggingface.co/docs/hub/repositories-licenses. Most of its names are those of SPDX in lower
case, and need no line here. What SPDX lacks becomes a ``LicenseRef-``, in ScanCode's spelling where that has the
licence, which other tools know too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from modhub.errors import UsageError
from modhub.licensing.expression import canonical_license

#: Without a version the GNU licences say that the user may choose any that was published.
_OTHERWISE_SPELLED: Final[Mapping[str, str]] = {
    "gpl": "GPL-1.0-or-later",
    "lgpl": "LGPL-2.0-or-later",
    "gfdl": "GFDL-1.1-or-later",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
    "c-uda": "C-UDA-1.0",
    "lgpl-lr": "LGPLLR",
    "llama2": "LicenseRef-scancode-llama-2-license-2023",
    "llama3.1": "LicenseRef-scancode-llama-3.1-license-2024",
    "llama3.2": "LicenseRef-scancode-llama-3.2-license-2024",
    "llama3.3": "LicenseRef-scancode-llama-3.3-license-2024",
    "llama4": "LicenseRef-scancode-llama-4-license-2025",
    "bigscience-openrail-m": "LicenseRef-scancode-bigscience-open-rail-m",
    "bigscience-bloom-rail-1.0": "LicenseRef-scancode-bigscience-rail-1.0",
    "bigcode-openrail-m": "LicenseRef-scancode-bigcode-open-rail-m-v1",
    "openmdw-1.0": "LicenseRef-scancode-openmdw-1.0",
}
#: Of these neither SPDX nor ScanCode says which text they are: the Hub's name, kept apart from other people's.
_ONLY_THE_HUB: Final = frozenset(
    {
        "apple-amlr",
        "apple-ascl",
        "bsd",
        "cc",
        "creativeml-openrail-m",
        "deepfloyd-if-license",
        "fair-noncommercial-research-license",
        "gemma",
        "grok2-community",
        "h-research",
        "intel-research",
        "llama3",
        "openrail",
        "openrail++",
    }
)
_ODD: Final = re.compile(r"[^A-Za-z0-9.-]+")


def hub_license(name: str, license_name: str | None = None) -> str | None:
    """A name of the Hub, or any SPDX expression, as an SPDX expression; None for ``unknown``, and ``other`` unnamed.

    ``license_name`` is what a card calls a licence that is ``other``. Raises UsageError, kind ``bad-license``.

    >>> hub_license("apache-2.0"), hub_license("openrail"), hub_license("other", "My model licence v2")
    ('Apache-2.0', 'LicenseRef-huggingface-openrail', 'LicenseRef-My-model-licence-v2')
    """
    text = name.strip()
    known = text.lower()
    if known == "unknown":
        return None
    if known == "other":
        return None if license_name is None else _reference(license_name)
    if known in _ONLY_THE_HUB:
        return f"LicenseRef-huggingface-{known.replace('++', '-plus-plus')}"
    try:
        return canonical_license(_OTHERWISE_SPELLED.get(known, text))
    except UsageError as error:
        hint = f"{error.hint or ''} For a licence with a text of its own: license: other, license_name: NAME.".strip()
        raise UsageError(error.message, kind=error.kind, hint=hint, **error.data) from error


def _reference(license_name: str) -> str | None:
    letters = _ODD.sub("-", license_name.strip()).strip("-.")
    return f"LicenseRef-{letters}" if letters else None

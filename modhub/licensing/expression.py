"""SPDX licence expressions: checked, in their canonical spelling, and as the choices that they give.

A thin layer over ``license-expression``, which brings the list of SPDX. Manifests are read without it: there a licence
is a text within bounds, and only who asks what it means reads it here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, Final

from license_expression import ExpressionError, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing

from modhub.errors import UsageError, did_you_mean, plain, shown
from modhub.limits import MAX_LICENSE_CHARS

#: A licence that SPDX does not list.
LICENSE_REF: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+\Z")
#: Licences that apply together; of several such sets one may be chosen.
Choice = frozenset[str]
#: Of more choices than this nothing is said: an expression of a few hundred characters can have a million.
MOST_CHOICES: Final = 64

_EXAMPLES: Final = "write SPDX names, such as MIT, 'Apache-2.0 OR MIT', or LicenseRef-NAME for one that SPDX lacks."


@lru_cache(maxsize=1)
def _spdx() -> Licensing:
    return get_spdx_licensing()


def canonical_license(text: str) -> str:
    """``text`` as SPDX spells it: ``mit or gpl-3.0`` as ``MIT OR GPL-3.0-only``. Raises UsageError, ``bad-license``.

    >>> canonical_license("mit or gpl-3.0")
    'MIT OR GPL-3.0-only'
    """
    return str(_parsed(text).render())


def license_choices(text: str) -> tuple[Choice, ...] | None:
    """What an expression lets one choose between; None for too many. Raises UsageError, kind ``bad-license``.

    An exception belongs to its licence: ``GPL-2.0-only WITH Classpath-exception-2.0`` is one name.

    >>> [sorted(choice) for choice in license_choices("MIT AND (Apache-2.0 OR BSD-3-Clause)")]
    [['Apache-2.0', 'MIT'], ['BSD-3-Clause', 'MIT']]
    """
    return _choices(_parsed(text))


def _parsed(text: str) -> Any:
    if len(text) > MAX_LICENSE_CHARS:
        raise _bad(text, f"has {len(text):,} characters; at most {MAX_LICENSE_CHARS:,} are allowed", _EXAMPLES)
    try:
        parsed = _spdx().parse(text)
    except (ExpressionError, RecursionError) as error:
        raise _bad(text, f"is no SPDX expression: {plain(str(error)).rstrip('.')}", _EXAMPLES) from error
    if parsed is None:
        raise _bad(text, "is empty", _EXAMPLES)
    for symbol in _spdx().license_symbols(parsed, decompose=False):
        _check_symbol(text, symbol)
    return parsed


def _check_symbol(text: str, symbol: Any) -> None:
    known = _spdx().known_symbols
    pair = isinstance(symbol, LicenseWithExceptionSymbol)
    name = str(symbol.license_symbol.key if pair else symbol.key)
    exception = str(symbol.exception_symbol.key) if pair else None
    if not LICENSE_REF.match(name) and (name not in known or known[name].is_exception):
        alike = [each for each in known if not each.startswith("LicenseRef-") and each[0].lower() == name[0].lower()]
        near = did_you_mean(name, alike)
        raise _bad(text, f"names {shown(name)}, which is no licence that SPDX lists", near or _EXAMPLES)
    if exception is not None and (exception not in known or not known[exception].is_exception):
        raise _bad(text, f"names {shown(exception)}, which is no exception that SPDX lists", _EXAMPLES)


def _choices(parsed: Any) -> tuple[Choice, ...] | None:
    operator = getattr(parsed, "operator", None)
    if operator is None:
        return (frozenset({str(parsed.render())}),)
    parts = [_choices(part) for part in parsed.args]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    together = operator.strip() == "AND"
    if (prod if together else sum)(map(len, known)) > MOST_CHOICES:
        return None
    if together:
        return tuple(dict.fromkeys(Choice().union(*each) for each in product(*known)))
    return tuple(dict.fromkeys(choice for part in known for choice in part))


def _bad(text: str, reason: str, hint: str) -> UsageError:
    return UsageError(f"the licence {shown(text)} {reason}.", kind="bad-license", hint=hint, license=text[:100])

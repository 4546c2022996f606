"""Say that modules turned out to be faulty, or that another model is to be used, and take it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from modhub.errors import InvalidRef, NotFound, UsageError, plain
from modhub.installation.registries import publishing_registry
from modhub.limits import MAX_EVIDENCE_BYTES
from modhub.registry.advising import Advised, AdvisoryDraft
from modhub.settings.config import load_config
from modhub.settings.private_keys import as_signer
from modhub.spec.advisories import SEVERITIES, AdvisorySeverity, Affected, Reference, affected_ranges
from modhub.spec.refs import ModelRef, Request, check_version, parse, slug_of
from modhub.spec.text import find_class

if TYPE_CHECKING:
    from modhub.registry.reader import RegistryReader
    from modhub.signing.keys import Signer


def advise(
    refs: str | Sequence[str],
    reason: str,
    *,
    severity: AdvisorySeverity = "medium",
    fixed_in: str | None = None,
    instead: str | None = None,
    evidence: Sequence[str | Path] = (),
    references: Sequence[str] = (),
    registry: str | None = None,
    sign: str | Signer | None = None,
) -> Advised:
    """Say that modules are faulty, to all who have them or will meet them; nothing stops working.

    ``refs``: ``namespace/model:class@range``, one or several of one namespace; without a class every class is meant,
    without a range every version. ``fixed_in`` is the version that mends it, ``instead`` another module or model to
    use, ``evidence`` files that show it, kept in the registry, ``references`` web addresses to read. Saying the same
    twice changes nothing. Raises NotFound for what the registry does not have, UsageError.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> release = modhub.publish(stripes, version="1.0.0", registry="team")
    >>> said = modhub.advise("me/stripes:left@^1", "answers right", severity="high", registry="team")
    >>> said.advisory.id, said.changed
    ('modhub-m6vz-sgaf-6qji', True)
    """
    if severity not in SEVERITIES:
        raise UsageError(f"{severity!r} is no severity.", kind="bad-option", hint=f"use {', '.join(SEVERITIES)}.")
    target = publishing_registry(registry, load_config())
    files = [_evidence(file) for file in evidence]
    if len({name for name, _ in files}) < len(files):
        raise UsageError("two files of evidence have one name.", kind="bad-evidence", hint="rename one of them.")
    try:
        namespace, affected = _affected(refs, fixed_in, target)
        links = tuple(Reference(url=url) for url in map(_checked_url, references))
        draft = AdvisoryDraft(namespace, reason, severity, affected, _checked_instead(instead), links, dict(files))
        return target.advise(draft, signer=as_signer(sign))
    except ValidationError as error:
        raise _not_written(error) from error


def change_advisory(
    advisory: str,
    *,
    reason: str | None = None,
    severity: AdvisorySeverity | None = None,
    fixed_in: str | None = None,
    instead: str | None = None,
    registry: str | None = None,
    sign: str | Signer | None = None,
) -> Advised:
    """Let an advisory say something else, such as the version that mends it; what is not given stays.

    Raises NotFound, kind ``no-advisory``, UsageError.
    """
    target = publishing_registry(registry, load_config())
    return target.change_advisory(
        advisory,
        summary=reason,
        severity=severity,
        fixed=None if fixed_in is None else check_version(fixed_in),
        instead=_checked_instead(instead),
        signer=as_signer(sign),
    )


def withdraw_advisory(advisory: str, *, registry: str | None = None, sign: str | Signer | None = None) -> Advised:
    """Take an advisory back, by its id. Raises NotFound, kind ``no-advisory``.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> release = modhub.publish(stripes, version="1.0.0", registry="team")
    >>> said = modhub.advise("me/stripes:left", "answers right", registry="team")
    >>> modhub.withdraw_advisory(said.advisory.id, registry="team").advisory.withdrawn is None
    False
    """
    return publishing_registry(registry, load_config()).withdraw_advisory(advisory, signer=as_signer(sign))


def deprecate(
    model: str,
    reason: str,
    *,
    use: str | None = None,
    undo: bool = False,
    registry: str | None = None,
    sign: str | Signer | None = None,
) -> bool:
    """Say wherever ``namespace/model`` is used that ``use`` is to take its place; nothing breaks. ``undo`` takes it
    back. False when it was so already. Raises NotFound when there is no such model, UsageError.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> release = modhub.publish(stripes, version="1.0.0", registry="team")
    >>> modhub.deprecate("me/stripes", "trained on few images", use="me/better-stripes", registry="team")
    True
    """
    target = publishing_registry(registry, load_config())
    return target.deprecate(model, reason, use=use, undo=undo, signer=as_signer(sign))


def _not_written(error: ValidationError) -> UsageError:
    """Too many names, files or links, or a name that no file may have."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return UsageError(
        f"the advisory cannot be written: {plain(place + ': ' + first['msg'])}.",
        kind="bad-advisory",
        hint="shorten it, or write several.",
    )


def _affected(
    refs: str | Sequence[str], fixed: str | None, registry: RegistryReader
) -> tuple[str, tuple[Affected, ...]]:
    """The one namespace of all names, and what they mean; classes of one model and range are taken together."""
    if fixed is not None:
        check_version(fixed)
    requests = [parse(ref) for ref in ([refs] if isinstance(refs, str) else refs)]
    namespaces = {request.base.partition("/")[0] for request in requests}
    if len(namespaces) != 1 or not all(request.is_qualified for request in requests):
        raise InvalidRef(
            f"an advisory is about modules of one namespace, not {', '.join(map(str, requests)) or 'none'}.",
            hint="write namespace/model:class@range, for example me/net:cat@^1.",
        )
    grouped: dict[tuple[str, str | None], list[str | None]] = {}
    for request in requests:
        slug = None if request.cls is None else _slug_in(registry, request)
        grouped.setdefault((request.base.partition("/")[2], request.version), []).append(slug)
    affected = [
        Affected(
            model=model,
            classes=() if None in slugs else tuple(sorted({slug for slug in slugs if slug is not None})),
            ranges=affected_ranges(version, fixed),
        )
        for (model, version), slugs in sorted(grouped.items(), key=lambda each: (each[0][0], each[0][1] or ""))
    ]
    return namespaces.pop(), tuple(affected)


def _slug_in(registry: RegistryReader, request: Request) -> str:
    """The slug of a class as typed, by the newest release; releases of a model spell their classes alike."""
    namespace, _, model = request.base.partition("/")
    versions = registry.versions(namespace, model)
    wanted = str(request.cls)
    if not versions:
        return slug_of(wanted)
    newest = registry.summary(ModelRef(namespace, model, versions[-1]))
    found = find_class(wanted, newest.classes)
    if wanted in newest.slugs or found is None:
        return wanted if wanted in newest.slugs else slug_of(wanted)
    return newest.slugs[newest.classes.index(found)]


def _checked_instead(instead: str | None) -> str | None:
    if instead is None:
        return None
    request = parse(instead)
    if not request.is_qualified:
        raise InvalidRef(
            f"{instead!r} is an alias or a namespace.", hint="write namespace/model or namespace/model:class."
        )
    return str(replace(request, cls=None if request.cls is None else slug_of(request.cls)))


def _checked_url(url: str) -> str:
    if not url.startswith(("http://", "https://")) or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{url!r} is no web address.", kind="bad-option", hint="give one with http:// or https://.")
    return url


def _evidence(file: str | Path) -> tuple[str, bytes]:
    path = Path(file)
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_EVIDENCE_BYTES + 1)
    except OSError as error:
        raise NotFound(
            f"the evidence {path} cannot be read: {error.strerror or error}.",
            kind="no-file",
            hint="name a file.",
            path=str(path),
        ) from error
    if not 1 <= len(data) <= MAX_EVIDENCE_BYTES:
        raise UsageError(
            f"the evidence {path} has {'more than ' if data else ''}{min(len(data), MAX_EVIDENCE_BYTES):,} bytes.",
            kind="bad-evidence",
            hint=f"give a file of 1 to {MAX_EVIDENCE_BYTES:,} bytes.",
            path=str(path),
        )
    return path.name, data

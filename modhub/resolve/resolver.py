"""From names as typed to modules of exact releases, or to an error that says what there is instead.

Pure: what exists is asked of catalogs, in order; nothing is read or written here. The first catalog that has the model
in a version that satisfies the request wins, so a nearer registry is never overruled by a farther one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modhub.documents import IndexEntry, Withdrawal
from modhub.errors import Conflict, InvalidRef, NotFound, UsageError, did_you_mean
from modhub.refs import ModelRef, ModuleRef, Request, in_order, parse, select_version, slug_of
from modhub.resolve.catalog import Catalog, Pinned

_SHOWN = 10


def resolve(
    requests: Sequence[str | Request], catalogs: Sequence[Catalog], user_aliases: Mapping[str, str]
) -> list[Pinned]:
    """The modules that ``requests`` name, in their order; a request without a class gives every class by index.

    Raises UsageError for no request at all, InvalidRef, NotFound (kinds ``no-model``, ``no-version``, ``no-class``)
    and Conflict (``ambiguous-name``, ``alias-loop``). Releases that were yanked or taken down are skipped; when
    nothing else is left, NotFound has the kind ``yanked`` or ``taken-down`` and says why.
    """
    if isinstance(requests, str) or not requests:
        raise UsageError(
            "no module was named." if not requests else f"a list of names is needed, not the one name {requests!r}.",
            kind="no-names",
            hint="name at least one, for example cifar10/r56:cat.",
        )
    resolver = _Resolver(catalogs, user_aliases)
    return [
        pinned
        for request in requests
        for pinned in resolver.pins(parse(request) if isinstance(request, str) else request)
    ]


class _Resolver:
    def __init__(self, catalogs: Sequence[Catalog], user_aliases: Mapping[str, str]) -> None:
        self._catalogs = catalogs
        self._user_aliases = user_aliases
        self._releases: dict[tuple[str, str | None], tuple[Catalog, ModelRef, IndexEntry]] = {}

    def pins(self, request: Request) -> list[Pinned]:
        model, aliases = self._model_of(request)
        catalog, ref, summary = self._release_of(model, request.version, aliases)
        classes = zip(summary.slugs, summary.classes, strict=True)
        return [
            Pinned(ModuleRef(ref.namespace, ref.model, slug, ref.version), name, summary.digest, catalog.url, aliases)
            for slug, name in (classes if request.cls is None else [_class_of(request.cls, ref, summary)])
        ]

    def _model_of(self, request: Request) -> tuple[str, tuple[str, ...]]:
        """``namespace/model``, and the aliases that led there."""
        base, seen = request.base, []
        while "/" not in base:
            target = self._alias(base)
            if target is None:
                break
            seen.append(base)
            if target in seen:
                raise Conflict(
                    f"the alias {seen[0]!r} leads in a circle: {' -> '.join([*seen, target])}.",
                    kind="alias-loop",
                    hint="let one of them stand for namespace/model.",
                    aliases=[*seen, target],
                )
            base = target
        if "/" not in base:
            base = self._only_model(base, request)
        return base, tuple(seen)

    def _alias(self, name: str) -> str | None:
        if name in self._user_aliases:
            return _checked_target(name, self._user_aliases[name])
        return next((target for catalog in self._catalogs if (target := catalog.alias(name)) is not None), None)

    def _only_model(self, namespace: str, request: Request) -> str:
        models = sorted({name for catalog in self._catalogs for name in catalog.models(namespace)})
        if len(models) > 1:
            raise Conflict(
                f"{str(request)!r} could mean several models: {', '.join(models[:_SHOWN])}.",
                kind="ambiguous-name",
                hint=f"write the model, for example {models[0]}" + (f":{request.cls}." if request.cls else "."),
                candidates=models,
            )
        if not models:
            raise self._unknown(namespace)
        return models[0]

    def _release_of(
        self, model: str, wanted: str | None, aliases: Sequence[str]
    ) -> tuple[Catalog, ModelRef, IndexEntry]:
        if (model, wanted) not in self._releases:
            self._releases[model, wanted] = self._find_release(model, wanted, aliases)
        return self._releases[model, wanted]

    def _find_release(
        self, model: str, wanted: str | None, aliases: Sequence[str]
    ) -> tuple[Catalog, ModelRef, IndexEntry]:
        namespace, name = model.split("/")
        existing: dict[str, list[str]] = {}
        withdrawn: dict[ModelRef, Withdrawal] = {}
        for catalog in self._catalogs:
            versions = list(catalog.versions(namespace, name))
            if versions:
                existing[catalog.name] = versions
            left = list(versions)
            while (version := select_version(left, wanted)) is not None:
                ref = ModelRef(namespace, name, version)
                # A nearer registry's yank counts for the same release farther on, and in the cache.
                withdrawal = withdrawn.get(ref) or catalog.withdrawal(ref)
                if withdrawal is None:
                    return catalog, ref, catalog.summary(ref)
                withdrawn[ref] = withdrawal
                left.remove(version)
        if not existing:
            raise self._unknown(model, aliases)
        raise _withdrawn(model, wanted, existing, withdrawn) if withdrawn else _no_version(model, wanted, existing)

    def _unknown(self, name: str, aliases: Sequence[str] = ()) -> NotFound:
        models = {model for catalog in self._catalogs for model in catalog.models()}
        words = {model.split("/")[0] for model in models} | set(self._user_aliases)
        words |= {alias for catalog in self._catalogs for alias in catalog.alias_names()}
        searched = [catalog.name for catalog in self._catalogs]
        # The model alone may be right: somebody/r56 for cifar10/r56.
        same = {model for model in models if model.split("/")[1] == name.split("/")[-1]}
        hint = did_you_mean(name, models | words) or (f"did you mean {' or '.join(sorted(same))}?" if same else None)
        what = f"{name!r}, for which {aliases[0]!r} stands," if aliases else repr(name)
        return NotFound(
            f"{what} is not in any of the registries searched: {', '.join(searched) or 'none'}.",
            kind="no-model",
            hint=hint or "run `modhub search` to see what there is.",
            name=name,
            registries=searched,
        )


def _no_version(model: str, wanted: str | None, existing: Mapping[str, Sequence[str]]) -> NotFound:
    every = list(dict.fromkeys(version for versions in existing.values() for version in versions))
    what = "release that is not a pre-release" if wanted is None else f"version {wanted}"
    there = "; ".join(f"{', '.join(versions[-_SHOWN:])} in {name}" for name, versions in existing.items())
    return NotFound(
        f"{model} has no {what}. There is: {there}.",
        kind="no-version",
        hint=f"ask for one of them, for example {model}@{every[-1]}.",
        model=model,
        wanted=wanted,
        versions=every,
    )


def _withdrawn(
    model: str,
    wanted: str | None,
    existing: Mapping[str, Sequence[str]],
    withdrawn: Mapping[ModelRef, Withdrawal],
) -> NotFound:
    """All that would have satisfied the request was yanked or taken down: say the newest one's reason."""
    ref, withdrawal = next(iter(withdrawn.items()))
    more = f", and so are {len(withdrawn) - 1} older ones" if len(withdrawn) > 1 else ""
    every = {version for versions in existing.values() for version in versions}
    others = in_order(every - {each.version for each in withdrawn})
    how = "yanked" if withdrawal.kind == "yanked" else "taken down"
    return NotFound(
        f"{ref} is {how}{more}: {withdrawal.reason}",
        kind=withdrawal.kind,
        hint=f"there is {', '.join(others[-_SHOWN:])}." if others else "its model has no other version.",
        release=str(ref),
        reason=withdrawal.reason,
        wanted=wanted,
        versions=others,
    )


def _checked_target(alias: str, target: str) -> str:
    request = parse(target)
    if request.cls is not None or request.version is not None:
        raise InvalidRef(
            f"the alias {alias!r} stands for {target!r}, which is more than a model.",
            hint="let it stand for namespace/model.",
            alias=alias,
            target=target,
        )
    return request.base


def _class_of(wanted: str, ref: ModelRef, summary: IndexEntry) -> tuple[str, str]:
    pairs = list(zip(summary.slugs, summary.classes, strict=True))
    for slug, name in pairs:
        if wanted == slug:
            return slug, name
    for slug, name in pairs:
        if wanted == name or slug_of(wanted) == slug:
            return slug, name
    more = "" if len(pairs) <= _SHOWN else f" and {len(pairs) - _SHOWN} more"
    raise NotFound(
        f"{ref} has no class {wanted!r}.",
        kind="no-class",
        hint=did_you_mean(wanted, [*summary.slugs, *summary.classes])
        or f"it has {', '.join(summary.slugs[:_SHOWN])}{more}.",
        release=str(ref),
        wanted=wanted,
        classes=list(summary.classes),
    )

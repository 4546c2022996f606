"""From names as typed to modules of exact releases, or to an error that says what there is instead.

Pure: what exists is asked of catalogs, in order; nothing is read or written here. The first catalog that has the model
in a version that satisfies the request wins, so a nearer registry is never overruled by a farther one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from modhub.errors import Conflict, InvalidRef, NotFound, UsageError, did_you_mean
from modhub.resolve.candidates import SHOWN, Candidate, Releases
from modhub.resolve.catalog import Catalog, NamedModules, Pinned
from modhub.spec.contract import NamedContract, input_key
from modhub.spec.input_contract import InputContract
from modhub.spec.refs import ModelRef, ModuleRef, Request, is_exact, parse


def resolve(
    requests: Sequence[str | Request],
    catalogs: Sequence[Catalog],
    user_aliases: Mapping[str, str],
    *,
    even_yanked: bool = False,
) -> list[NamedModules]:
    """For each of ``requests`` the modules that it names; one without a class names every class, by index.

    Each request is answered by itself, so modules may take images of different sizes; ``resolve_together`` chooses for
    all of them. Raises UsageError for no request at all, InvalidRef, NotFound (kinds ``no-model``, ``no-version``,
    ``no-class``) and Conflict (``ambiguous-name``, ``alias-loop``). Releases, and classes, that were yanked or taken
    down are skipped; when nothing else is left, NotFound has the kind ``yanked`` or ``taken-down`` and says why. An
    exact version gives what was yanked all the same, and so does ``even_yanked``, for looking at it, where there is
    nothing else; the pins say so.
    """
    resolver = Resolver(catalogs, user_aliases, even_yanked=even_yanked)
    return [asked.modules(asked.first) for asked in resolver.asked(requests)]


@dataclass(frozen=True, eq=False)
class ModelRequest:
    """One request and the model that it means. ``aliases`` led there; ``locked`` versions of it are preferred.

    ``even_yanked``: what was yanked is given where there is nothing else, and with all of its classes.
    """

    request: Request
    releases: Releases
    aliases: tuple[str, ...]
    locked: tuple[str, ...]
    unknown: Callable[[], NotFound]
    even_yanked: bool = False

    @property
    def model(self) -> str:
        return self.releases.name

    @cached_property
    def first(self) -> Candidate:
        """The first choice. Raises NotFound when no release satisfies the request; its class is not looked for."""
        locked = next(self._locked(), None)
        if locked is not None:
            return locked
        wanted, cls = self.request.version, self.request.cls
        newest = next(self.releases.satisfying(wanted, cls), None)
        if newest is None and self.even_yanked:
            newest = next(self.releases.yanked(wanted), None)
        if newest is None:
            raise self.releases.why_none(wanted, cls) or self.unknown()
        return newest

    def candidates(self) -> Iterator[Candidate]:
        """All that satisfies the request, in order of preference: the first choice, and then what has the class.

        A locked release comes once more at its version's place in the order.
        """
        yield self.first
        yield from self._locked()
        wanted, cls = self.request.version, self.request.cls
        yield from (each for each in self.releases.satisfying(wanted, cls) if each.has(cls))

    def _locked(self) -> Iterator[Candidate]:
        if self.locked:
            for candidate in self.releases.locked(self.request.version, self.locked):
                if candidate.has(self.request.cls):
                    yield candidate

    def modules(self, release: Candidate) -> NamedModules:
        """The modules that the request names in ``release``. Raises NotFound, kind ``no-class``."""
        ref, digest, url = release.ref, release.summary.digest, release.catalog.url
        pins = (
            Pinned(
                ModuleRef(ref.namespace, ref.model, slug, ref.version),
                name,
                digest,
                url,
                self.aliases,
                release.yank_of(slug),
            )
            for slug, name in release.classes(self.request.cls)
            if not self._leaves_out(release, slug)
        )
        left_out = (slug for slug in release.yanked_classes if self._leaves_out(release, slug))
        return NamedModules(self.request, tuple(pins), tuple(filter(None, map(release.yank_of, left_out))))

    def _leaves_out(self, release: Candidate, slug: str) -> bool:
        """Whether a whole release was asked for, and of this class it was yanked."""
        if self.request.cls is not None or self.even_yanked or is_exact(self.request.version or ""):
            return False
        return slug in release.yanked_classes


class Resolver:
    """What one resolution has found out. ``prefer``: releases that are taken where they satisfy a request."""

    def __init__(
        self,
        catalogs: Sequence[Catalog],
        user_aliases: Mapping[str, str],
        prefer: Collection[ModelRef] = (),
        *,
        even_yanked: bool = False,
    ) -> None:
        self.catalogs = catalogs
        self._even_yanked = even_yanked
        self._user_aliases = user_aliases
        self._locked: dict[str, tuple[str, ...]] = {}
        for ref in prefer:
            self._locked[ref.name] = (*self._locked.get(ref.name, ()), ref.version)
        self._models: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._releases: dict[str, Releases] = {}

    def asked(self, requests: Sequence[str | Request]) -> Iterator[ModelRequest]:
        """What each request means, one after the other. Raises UsageError, InvalidRef, NotFound and Conflict."""
        if isinstance(requests, str) or not requests:
            raise UsageError(
                "no module was named."
                if not requests
                else f"a list of names is needed, not the one name {requests!r}.",
                kind="no-names",
                hint="name at least one, for example cifar10/r56:cat.",
            )
        return (self._asked(parse(each) if isinstance(each, str) else each) for each in requests)

    def releases(self, model: str) -> Releases:
        """The releases of ``namespace/model``."""
        if model not in self._releases:
            self._releases[model] = Releases(model, self.catalogs)
        return self._releases[model]

    def _asked(self, request: Request) -> ModelRequest:
        if request.base not in self._models:
            self._models[request.base] = self._model_of(request)
        model, aliases = self._models[request.base]
        locked = self._locked.get(model, ())
        return ModelRequest(
            request,
            self.releases(model),
            aliases,
            locked,
            lambda: self._unknown(model, aliases),
            even_yanked=self._even_yanked,
        )

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
        return next((target for catalog in self.catalogs if (target := catalog.alias(name)) is not None), None)

    def _only_model(self, namespace: str, request: Request) -> str:
        models = sorted({name for catalog in self.catalogs for name in catalog.models(namespace)})
        if len(models) > 1:
            raise Conflict(
                f"{str(request)!r} could mean several models: {', '.join(models[:SHOWN])}.",
                kind="ambiguous-name",
                hint=f"write the model, for example {models[0]}" + (f":{request.cls}." if request.cls else "."),
                candidates=models,
            )
        if not models:
            raise self._unknown(namespace)
        return models[0]

    def _unknown(self, name: str, aliases: Sequence[str] = ()) -> NotFound:
        by_catalog = {catalog.name: catalog.models() for catalog in self.catalogs}
        for place, known in by_catalog.items():
            if name in known:
                return _without_index(name, place)
        models = {model for known in by_catalog.values() for model in known}
        words = {model.split("/")[0] for model in models} | set(self._user_aliases)
        words |= {alias for catalog in self.catalogs for alias in catalog.alias_names()}
        searched = [catalog.name for catalog in self.catalogs]
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


def _without_index(name: str, place: str) -> NotFound:
    """The error for a model that a catalog names and of which it lists no release."""
    return NotFound(
        f"{place} names the model {name} but lists no release of it: its index is incomplete.",
        kind="no-index",
        hint="its administrator can repair that: modhub registry reindex.",
        name=name,
        registry=place,
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


class Groups:
    """Numbers for groups of contracts that one image serves."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._by_release: dict[Candidate, int] = {}

    def of(self, release: Candidate) -> int:
        if release not in self._by_release:
            self._by_release[release] = self.of_contract(release.contract)
        return self._by_release[release]

    def of_contract(self, contract: InputContract) -> int:
        return self._numbers.setdefault(input_key(contract), len(self._numbers))


class ResolutionMember:
    """One of the requests that are resolved together: its candidates, read only as far as they are needed.

    ``found`` has, of each group met so far, the first candidate.
    """

    def __init__(self, asked: ModelRequest, groups: Groups) -> None:
        """Reads the first choice. Raises as ``resolve`` for a request that nothing satisfies."""
        self.asked = asked
        self.exhausted = False
        self.found: dict[int, Candidate] = {}
        self._order: list[int] = []
        self._groups = groups
        self._walk = asked.candidates()
        asked.modules(asked.first)
        self._step()
        (self.first_group,) = self.found

    def within(self, group: int) -> Candidate | None:
        """The first candidate that is in ``group``."""
        while group not in self.found and not self.exhausted:
            self._step()
        return self.found.get(group)

    def groups(self) -> Iterator[int]:
        """The groups of its candidates, in order of preference."""
        number = 0
        while True:
            while number == len(self._order) and not self.exhausted:
                self._step()
            if number == len(self._order):
                return
            yield self._order[number]
            number += 1

    def _step(self) -> None:
        candidate = next(self._walk, None)
        if candidate is None:
            self.exhausted = True
        elif (group := self._groups.of(candidate)) not in self.found:
            self.found[group] = candidate
            self._order.append(group)

    def __str__(self) -> str:
        """How messages call it: as its first choice."""
        first = self.asked.first
        return str(self.asked.modules(first).modules[0].ref if self.asked.request.cls else first.ref)

    @property
    def first_contract(self) -> NamedContract:
        """What images its first choice takes."""
        return NamedContract(str(self), self.asked.first.contract)

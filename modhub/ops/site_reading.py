"""Reading registries for their pages: model by model, each release verified, what is damaged named and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final, TypeVar

from modhub.advisories.matching import NoticeBoard, Remark
from modhub.cards.front_matter import markdown_of
from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.installation.registries import is_starter
from modhub.ops.site_masks import ModelMasks, toggled_between
from modhub.package.readme import readme_of
from modhub.project.naming import compatible_with
from modhub.registry.index import newest
from modhub.registry.notices import confirms_advisory, notices_of
from modhub.registry.reader import RegistryReader
from modhub.registry.signers import Signatures, signature_file, signing_status
from modhub.signing.policy import Trust
from modhub.site.content import (
    GoneVersion,
    Overlap,
    ShownModel,
    ShownNotice,
    ShownRelease,
    ShownSignature,
    SiteProblem,
)
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import Withdrawal
from modhub.spec.url import is_url
from modhub.storage.parallel import each

#: What a damaged or hostile file raises; a registry that cannot be reached ends the whole.
DAMAGE: Final = (IntegrityError, Incompatible, NotFound)
#: Models that are read at once, so that a site of any size is made in little memory.
_AT_ONCE: Final = 16
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class _Said:
    """What a registry says about one namespace; ``problem`` is why it cannot be believed."""

    board: NoticeBoard | None
    unconfirmed: frozenset[str] = frozenset()
    problem: ModhubError | None = None


@dataclass(eq=False)
class SiteReader:
    """Some registries as their pages show them. Of several that have a model, the first one's counts.

    ``trust`` says how the user calls the keys that signed. ``quick`` reads no masks. ``problems`` are those that belong
    to no model, filled while models are read.
    """

    registries: Sequence[RegistryReader]
    trust: Trust = field(default_factory=Trust)
    quick: bool = False
    problems: list[SiteProblem] = field(default_factory=list)
    _said: dict[tuple[str, str], _Said] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[str, RegistryReader]:
        """All models by name, sorted, each with the registry that has it."""
        found: dict[str, RegistryReader] = {}
        for registry in self.registries:
            for name in registry.models():
                found.setdefault(name, registry)
        return {name: found[name] for name in sorted(found)}

    def models(self) -> Iterator[ShownModel]:
        """Every model, by name. Raises RegistryUnreachable when a registry ceases to answer."""
        names = list(self.names)
        at_once = min((registry.store.capabilities.parallel for registry in self.registries), default=1)
        for start in range(0, len(names), _AT_ONCE):
            yield from each(self.model, names[start : start + _AT_ONCE], at_once=at_once)

    def model(self, name: str) -> ShownModel:
        """One model with its releases. Raises KeyError for one that there is not."""
        registry = self.names[name]
        namespace, _, model = name.partition("/")
        problems: list[SiteProblem] = []
        listed = _attempt(lambda: registry.versions(namespace, model), list[str](), name, problems)
        signers = self._signers(registry, namespace, model, problems)
        masks = ModelMasks(registry)
        releases, taken_down, usable = [], [], []
        for version in reversed(listed):
            ref = ModelRef(namespace, model, version)
            try:
                withdrawal = self._withdrawal(registry, ref)
                if withdrawal is not None and withdrawal.kind == "taken-down":
                    taken_down.append(GoneVersion(version, withdrawal.reason))
                    continue
                if withdrawal is None:
                    usable.append(version)
                release = self._release(registry, ref, withdrawal, masks, signers)
            except DAMAGE as error:
                problems.append(_problem(str(ref), error))
                continue
            releases.append(release)
        current = newest(usable) if usable else None
        return ShownModel(
            name=name,
            registry=_label(registry),
            releases=tuple(releases),
            chosen=next((release for release in releases if release.version == current), None),
            source=None if is_starter(registry.url) or not is_url(registry.url) else registry.url,
            taken_down=tuple(taken_down),
            aliases=tuple(alias for alias, target in self._aliases(registry).items() if target == name),
            toggled=toggled_between(masks, {release.version: release.content for release in releases}),
            problems=tuple(problems),
        )

    def _release(
        self,
        registry: RegistryReader,
        ref: ModelRef,
        withdrawal: Withdrawal | None,
        masks: ModelMasks,
        signers: Mapping[str, Sequence[str]],
    ) -> ShownRelease:
        manifest, _ = registry.release(ref)
        problems: list[SiteProblem] = []

        def readme() -> str:
            return markdown_of(readme_of(manifest, lambda _, record: registry.blob(record)).decode())

        def overlap() -> Overlap | None:
            return None if self.quick else masks.overlap(manifest)

        said = self._heard(registry, ref.namespace)
        return ShownRelease(
            manifest=manifest,
            compatible=compatible_with(ref.version),
            readme=_attempt(readme, "", f"the README of {ref}", problems),
            notices=tuple(_notices(ref, said)),
            signatures=self._signatures(registry, ref, manifest, signers),
            yanked=None if withdrawal is None else withdrawal.reason,
            yanked_classes=self._yanked_classes(registry, ref),
            overlap=_attempt(overlap, None, f"the masks of {ref}", problems),
            problems=tuple(problems),
        )

    def _withdrawal(self, registry: RegistryReader, ref: ModelRef) -> Withdrawal | None:
        said = self._heard(registry, ref.namespace)
        if said.board is None or registry.trust is not None:
            return registry.withdrawal(ref)
        found = next(
            (r for r in said.board.about(ref) if r.kind in ("yanked", "taken-down") and r.subject == str(ref)), None
        )
        return None if found is None else Withdrawal("yanked" if found.kind == "yanked" else "taken-down", found.reason)

    def _yanked_classes(self, registry: RegistryReader, ref: ModelRef) -> Mapping[str, str]:
        said = self._heard(registry, ref.namespace)
        if said.board is None or registry.trust is not None:
            return registry.yanked_classes(ref)
        noticed = (
            each for each in said.board.notices.releases if (each.model, each.version) == (ref.model, ref.version)
        )
        return next((each.yanked_classes for each in noticed), {})

    def _heard(self, registry: RegistryReader, namespace: str) -> _Said:
        """What was said about a namespace, read once. What cannot be believed becomes a problem, and is asked for
        release by release."""
        key = registry.url, namespace
        if key not in self._said:
            try:
                board = NoticeBoard(notices_of(registry, namespace, thorough=True), registry.url)
                ids = [each.id for each in board.notices.advisories if registry.trust is not None]
                unconfirmed = frozenset(i for i in ids if not confirms_advisory(registry, namespace, i))
                self._said[key] = _Said(board, unconfirmed)
            except DAMAGE as error:
                self.problems.append(_problem(f"what is said about {namespace}", error))
                self._said[key] = _Said(None, problem=error)
        return self._said[key]

    def _signers(
        self, registry: RegistryReader, namespace: str, model: str, problems: list[SiteProblem]
    ) -> Mapping[str, Sequence[str]]:
        """By the digest of a release the ids of the keys of whose signatures there are, or may be, files."""
        if registry.store.capabilities.can_list:
            return self._listed_signers[registry.url]

        def indexed() -> dict[str, Sequence[str]]:
            return {entry.digest: entry.signers for entry in registry.index(namespace, model).releases}

        return _attempt(indexed, {}, f"the index of {namespace}/{model}", problems)

    @cached_property
    def _listed_signers(self) -> dict[str, Mapping[str, Sequence[str]]]:
        return {
            registry.url: registry.signers() for registry in self.registries if registry.store.capabilities.can_list
        }

    def _signatures(
        self, registry: RegistryReader, ref: ModelRef, manifest: Manifest, signers: Mapping[str, Sequence[str]]
    ) -> tuple[ShownSignature, ...]:
        found = sorted(signers.get(manifest.digest, ()))
        if not found:
            return ()
        places = Signatures(lambda key: signature_file(registry, manifest.digest, key), registry.revocation)
        known = Trust(tuple(key for key in self.trust.keys if key.id in found))
        status = signing_status(ref, manifest.digest, known, places, found, complete=True)
        bundles = (ShownSignature("model-signing", "OpenSSF bundle", "unknown-key") for _ in status.bundles)
        keys = (ShownSignature(each.key, each.name, each.verdict, each.reason) for each in status.signatures)
        return (*keys, *bundles)

    def _aliases(self, registry: RegistryReader) -> Mapping[str, str]:
        return self._all_aliases.get(registry.url, {})

    @cached_property
    def _all_aliases(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for registry in self.registries:
            own = found.setdefault(registry.url, {})
            for alias in _attempt(registry.alias_names, list[str](), "the aliases", self.problems):
                find = partial(registry.alias, alias)
                if (target := _attempt(find, None, f"the alias {alias}", self.problems)) is not None:
                    own[alias] = target
        return found


def _label(registry: RegistryReader) -> str:
    """What pages call a registry: nobody else's business is in which folder of this machine it lies."""
    if is_starter(registry.url):
        return "starter"
    return str(registry.url) if is_url(registry.url) else str(registry.url).rstrip("/").rpartition("/")[2]


def _attempt(read: Callable[[], _Read], otherwise: _Read, what: str, problems: list[SiteProblem]) -> _Read:
    """What ``read`` gives; ``otherwise``, and a problem, where it is damaged."""
    try:
        return read()
    except DAMAGE as error:
        problems.append(_problem(what, error))
        return otherwise


def _problem(name: str, error: ModhubError) -> SiteProblem:
    return SiteProblem(name, error.message, error.kind)


def _notices(ref: ModelRef, said: _Said) -> Iterator[ShownNotice]:
    """What is said against a release: of advisories one notice a class that they name, or one for all."""
    for remark in said.board.about(ref) if said.board is not None else ():
        if remark.id in said.unconfirmed:
            continue
        for slug in _slugs(remark, ref):
            references = remark.advisory.references if remark.advisory is not None else ()
            yield ShownNotice(
                kind=remark.kind,
                text=str(remark),
                slug=slug,
                severity=None if remark.advisory is None else remark.advisory.severity,
                id=remark.id,
                references=tuple(reference.url for reference in references[:5]),
            )


def _slugs(remark: Remark, ref: ModelRef) -> Sequence[str | None]:
    """The classes that a remark is about; None where it is about all."""
    if remark.advisory is not None:
        own = [each for each in remark.advisory.affected if each.model == ref.model and each.covers(None, ref.version)]
        found = dict.fromkeys(slug for each in own for slug in (each.classes or (None,)))
        return [None] if None in found or not found else list(found)
    _, colon, rest = remark.subject.partition(":")
    return [rest.partition("@")[0]] if colon else [None]

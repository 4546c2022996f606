"""What is installed, as the resolver sees it: the last place that is asked, and enough without any registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modhub.cache.cache import Cache
from modhub.errors import Conflict
from modhub.registry.index import entry_of
from modhub.spec.refs import ModelRef, ModuleRef, check_name, in_order

if TYPE_CHECKING:
    from modhub.spec.input_contract import InputContract
    from modhub.spec.manifest import Manifest
    from modhub.spec.registry_files import IndexEntry, Withdrawal


class CacheCatalog:
    """The releases in a cache, as far as they are installed. ``name`` is how messages call it."""

    def __init__(self, cache: Cache, *, name: str = "the cache") -> None:
        self._cache = cache
        self.name = name

    @property
    def url(self) -> str:
        return str(self._cache.root)

    def versions(self, namespace: str, model: str) -> list[str]:
        folder = f"{check_name(namespace, 'namespace')}/{check_name(model, 'model')}"
        found = {ref.version for ref, _ in self._cache.marked(folder)}
        return in_order(found)

    def models(self, namespace: str | None = None) -> list[str]:
        prefix = check_name(namespace, "namespace") if namespace else ""
        return sorted({ref.release.name for ref, _ in self._cache.marked(prefix)})

    def alias(self, name: str) -> str | None:
        return self._cache.alias(name)

    def alias_names(self) -> list[str]:
        return self._cache.alias_names()

    def withdrawal(self, ref: ModelRef) -> Withdrawal | None:
        """None: what is installed stays usable; whether it was yanked, registries say."""
        return None

    def yanked_classes(self, ref: ModelRef) -> Mapping[str, str]:
        """None, as for ``withdrawal``."""
        return {}

    def summary(self, ref: ModelRef) -> IndexEntry:
        """The release as far as it is installed: only the classes that are here."""
        marked = self._marked(ref)
        entry = entry_of(self._manifest(ref, marked))
        here = {module.cls for module, _ in marked}
        pairs = [pair for pair in zip(entry.slugs, entry.classes, strict=True) if pair[0] in here]
        return entry.model_copy(
            update={"slugs": tuple(slug for slug, _ in pairs), "classes": tuple(name for _, name in pairs)}
        )

    def contract(self, ref: ModelRef) -> InputContract:
        """The images that an installed release takes."""
        return self._manifest(ref, self._marked(ref)).content.contract

    def _marked(self, ref: ModelRef) -> list[tuple[ModuleRef, str]]:
        return self._cache.marked(f"{ref.namespace}/{ref.model}/{ref.version}")

    def _manifest(self, ref: ModelRef, marked: Sequence[tuple[ModuleRef, str]]) -> Manifest:
        digests = sorted({digest for _, digest in marked})
        if len(digests) != 1:
            raise Conflict(
                f"{ref} was installed from different registries with different content: {', '.join(digests)}."
                if digests
                else f"{ref} was removed from the cache at this moment.",
                kind="ambiguous-release",
                hint="name the registry that you mean, with --registry.",
                release=str(ref),
                candidates=digests,
            )
        return self._cache.manifest(digests[0])

"""What the search page loads: a registry as columns, in a few files, so that 10,000 releases are searched in a browser.

    releases.json     one column a fact of each model's release; texts that repeat are numbers into lists
    classes.json      the classes' names and slugs, sorted, and the number of the file that has the modules of each
    modules-<n>.json  for some classes, in the same order: in which releases they are, with recall and precision

A page loads the first two, and the third kind only as far as what is typed needs it. Classes whose names end in the
same word share a file, since that word says what the thing is: who types *apple* is shown the red and the young ones
too, and waits for one file. Shares are whole thousandths, -1 where nothing was measured. The files are canonical JSON:
the same registry gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from modhub.site.content import ShownModel, ShownRelease
from modhub.spec.contract import input_text, size_text
from modhub.spec.digests import canonical_json
from modhub.spec.input_contract import InputContract
from modhub.spec.manifest import ModuleRecord

SEARCH_FORMAT: Final = 2
#: Modules in one file, about.
_MODULES_A_FILE: Final = 12_000
#: What the bits of a release's ``flags`` say. Signed: by a trusted key; unchecked: by unknown keys alone.
ADVISED, SIGNED, DEPRECATED, PARTLY_YANKED, UNCHECKED = 1, 2, 4, 8, 16


class Numbered:
    """Values by the number under which a column has them, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.values: list[Any] = []

    def number(self, key: Hashable, value: Any = None) -> int:
        """The number of ``key``, under which ``value`` (by default the key) is kept when it is new."""
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return self._numbers[key]


class SearchColumns:
    """The search files of a registry, of models added one by one in the order of their names."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in (
                "names", "version", "dataset", "contract", "license", "registry", "keywords",
                "top1", "classes", "bytes", "flags",
            )
        }  # fmt: skip
        self._versions, self._datasets, self._contracts = Numbered(), Numbered(), Numbered()
        self._licenses, self._registries = Numbered(), Numbered()
        self._keywords, self._keyword_lists = Numbered(), Numbered()
        #: By class name and slug: releases, recalls, precisions.
        self._classes: dict[tuple[str, str], tuple[list[int], list[int], list[int]]] = {}

    @property
    def contracts(self) -> list[InputContract]:
        """Those of which the releases have the numbers, of which no two are alike to a classifier."""
        return self._contracts.values

    @property
    def modules(self) -> int:
        """How many modules can be found."""
        return sum(len(releases) for releases, _, _ in self._classes.values())

    def add(self, model: ShownModel, contract_key: Hashable) -> None:
        """The release that a model's plain name gives; nothing of a model that has none. ``contract_key`` is equal for
        contracts that are alike."""
        release = model.chosen
        if release is None:
            return
        content, card, columns = release.content, release.content.card, self._columns
        number = len(columns["names"])
        accuracy = content.origin.accuracy[-1] if content.origin.accuracy else None
        columns["names"].append(content.name)
        columns["version"].append(self._versions.number(release.version, [release.version, release.compatible]))
        columns["dataset"].append(self._datasets.number(content.origin.dataset.name))
        columns["contract"].append(self._contracts.number(contract_key, content.contract))
        columns["license"].append(self._licenses.number(card.license) if card and card.license else -1)
        columns["registry"].append(self._registries.number(model.registry))
        keywords = tuple(self._keywords.number(each) for each in card.keywords[:20]) if card else ()
        columns["keywords"].append(self._keyword_lists.number(keywords))
        columns["top1"].append(thousandths(accuracy.top_1 if accuracy else None))
        columns["bytes"].append(sum(blob.size for blob in release.manifest.blobs.values()))
        columns["flags"].append(_flags(release))
        usable = [module for module in content.modules if module.slug not in release.yanked_classes]
        columns["classes"].append(len(usable))
        for module in usable:
            releases, recalls, precisions = self._classes.setdefault((module.name, module.slug), ([], [], []))
            releases.append(number)
            recalls.append(thousandths(recall_of(module)))
            precisions.append(thousandths(precision_of(module)))

    def files(self, tables: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of the files; ``tables`` say which of ``contracts`` fit, and go with the releases."""
        names = sorted(self._classes)
        files = self._files_of(names)
        releases = self._columns | {
            "format": SEARCH_FORMAT,
            "versions": self._versions.values,
            "datasets": self._datasets.values,
            "licenses": self._licenses.values,
            "registries": self._registries.values,
            "sizes": [size_text(contract) for contract in self._contracts.values],
            "inputs": [input_text(contract) for contract in self._contracts.values],
            "keyword": self._keywords.values,
            "keyword_lists": self._keyword_lists.values,
        }
        yield "releases.json", canonical_json(releases)
        yield "fitting.json", canonical_json({"format": SEARCH_FORMAT, **tables})
        classes = {
            "format": SEARCH_FORMAT,
            "names": [name for name, _ in names],
            "slugs": [0 if slug == name else slug for name, slug in names],
            "files": [files[name] for name in names],
        }
        yield "classes.json", canonical_json(classes)
        members: dict[int, list[tuple[str, str]]] = {number: [] for number in sorted(set(files.values()))}
        for name in names:
            members[files[name]].append(name)
        for number, own in members.items():
            yield f"modules-{number}.json", canonical_json(self._file(own))

    def _files_of(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The number of the file that has the modules of each class; a file has about ``_MODULES_A_FILE`` of them."""
        files: dict[tuple[str, str], int] = {}
        number = count = 0
        for _, alike in groupby(sorted(names, key=_by_last_word), key=lambda name: _by_last_word(name)[0]):
            group = list(alike)
            size = sum(len(self._classes[name][0]) for name in group)
            if count and count + size > _MODULES_A_FILE:
                number, count = number + 1, 0
            for name in group:
                if count >= _MODULES_A_FILE:
                    number, count = number + 1, 0
                files[name] = number
                count += len(self._classes[name][0])
        return files

    def _file(self, names: Sequence[tuple[str, str]]) -> dict[str, Any]:
        columns = [self._classes[name] for name in names]
        return {
            "format": SEARCH_FORMAT,
            "releases": [_differences(releases) for releases, _, _ in columns],
            "recall": [recalls for _, recalls, _ in columns],
            "precision": [precisions for _, _, precisions in columns],
        }


def _by_last_word(name: tuple[str, str]) -> tuple[str, tuple[str, str]]:
    """Sorts classes whose names end in the same word beside each other."""
    words = re.findall(r"[^\W_]+", name[0].lower())
    return (words[-1] if words else "", name)


def _differences(numbers: list[int]) -> list[int]:
    """Each number less the one before it: small ones, which compress."""
    return [number - before for number, before in zip(numbers, [0, *numbers], strict=False)]


def _flags(release: ShownRelease) -> int:
    kinds = {notice.kind for notice in release.notices}
    found = ADVISED if "advisory" in kinds else 0
    found |= SIGNED if release.is_signed else 0
    found |= UNCHECKED if release.is_unchecked else 0
    found |= DEPRECATED if "deprecated" in kinds else 0
    return found | (PARTLY_YANKED if release.yanked_classes else 0)


def thousandths(share: float | None) -> int:
    """A share of 1 as thousandths; -1 for None."""
    return -1 if share is None else round(share * 1000)


def recall_of(module: ModuleRecord) -> float | None:
    """What was measured last of a module in the vote; None where nothing was."""
    return module.metrics[-1].vote_recall if module.metrics else None


def precision_of(module: ModuleRecord) -> float | None:
    """As ``recall_of``."""
    return module.metrics[-1].vote_precision if module.metrics else None

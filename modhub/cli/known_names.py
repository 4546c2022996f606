"""Names that this machine knows without asking anybody: of models, classes, registries and keys, for completion.

They come from the names of files in the cache, from the indexes of registries in folders, and from what was kept of
other registries' indexes when a command last read them. Nothing is verified here: a name is only proposed, and looked
up as any other when it is used. What is damaged proposes nothing.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import platformdirs

from modhub.installation.seen_names import NAMES
from modhub.settings.table import SETTINGS

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}\Z")
_MAX_BYTES: Final = 8 * 1024 * 1024
_STARTER: Final = Path(__file__).parents[1] / "starter" / "registry"


class Known:
    """The names that the configuration's places have; ``cache`` and ``registries`` are those of the command line."""

    def __init__(self, cache: str | None = None, registries: Iterable[str] = ()) -> None:
        self._cache = cache
        self._given = list(registries)

    # Models and classes

    def models(self, typed: str) -> list[tuple[str, str]]:
        """``namespace/model`` and aliases that begin with what was typed."""
        names = {name: "" for name in self._models() if name.startswith(typed)}
        names |= {name: target for name, target in self.aliases().items() if name.startswith(typed)}
        return sorted(names.items())

    def refs(self, typed: str) -> list[tuple[str, str]]:
        """Names of models, and behind a colon those of a model's classes."""
        model, colon, slug = typed.partition(":")
        if not colon:
            return self.models(typed)
        return [(f"{model}:{name}", help_) for name, help_ in self._classes(model) if name.startswith(slug)]

    def classes_of(self, refs: Iterable[str]) -> list[tuple[str, str]]:
        """The classes that names mean, as labels."""
        found: dict[str, str] = {}
        for ref in refs:
            model, colon, slug = ref.partition("@")[0].partition(":")
            found |= {slug: ref} if colon else dict.fromkeys((name for name, _ in self._classes(model)), ref)
        return list(found.items())

    def aliases(self) -> dict[str, str]:
        """Aliases of the configuration, of registries in folders, and of the cache, with what they stand for."""
        found: dict[str, str] = {}
        for folder in self._folders():
            for name in _listed(folder / "records" / "alias"):
                records = sorted(_listed(folder / "records" / "alias" / name))
                found[name] = str(_json(folder / "records" / "alias" / name / records[-1]).get("target") or "")
        for file in _listed(self.cache / "aliases"):
            found.setdefault(file.removesuffix(".json"), str(_json(self.cache / "aliases" / file).get("target") or ""))
        found |= {str(name): str(target) for name, target in _table(self._config.get("aliases")).items()}
        return {name: target for name, target in found.items() if _NAME.match(name)}

    def _models(self) -> Iterator[str]:
        """Of the cache, of registries in folders, of what was kept of others."""
        for root in (self.cache / "installed", *(folder / "releases" for folder in self._folders())):
            for namespace in _listed(root):
                yield from (f"{namespace}/{model}" for model in _listed(root / namespace))
        for kept in self._kept():
            yield from kept

    def _classes(self, model: str) -> list[tuple[str, str]]:
        """Slugs of a model's classes, in order of index where an index says it."""
        name = model if "/" in model else self.aliases().get(model) or self._only_of(model)
        if name is None or name.count("/") != 1:
            return []
        namespace, short = name.split("/")
        if not (_NAME.match(namespace) and _NAME.match(short)):
            return []
        found: dict[str, None] = {}
        for folder in self._folders():
            releases = _json(folder / "index" / namespace / f"{short}.json").get("releases")
            for release in releases if isinstance(releases, list) else ():
                found |= dict.fromkeys(map(str, _table(release).get("slugs") or ()))
        for kept in self._kept():
            slugs = kept.get(name)
            found |= dict.fromkeys(map(str, slugs if isinstance(slugs, list) else ()))
        root = self.cache / "installed" / namespace / short
        for version in _listed(root):
            for digest in _listed(root / version):
                found |= dict.fromkeys(file.removesuffix(".json") for file in _listed(root / version / digest))
        return [(slug, name) for slug in found]

    def _only_of(self, namespace: str) -> str | None:
        models = {name for name in self._models() if name.startswith(f"{namespace}/")}
        return models.pop() if len(models) == 1 else None

    # Places

    def registries(self) -> list[tuple[str, str]]:
        """Names of configured registries with their URLs, and the URLs of those without a name."""
        return [(name or url, url if name else "") for name, url in self._configured()]

    def own_keys(self) -> list[tuple[str, str]]:
        """Names of the user's own keys."""
        chosen = os.environ.get("MODHUB_KEYS")
        folder = Path(chosen).expanduser() if chosen else _config_folder() / "keys"
        return [(file.removesuffix(".pem"), "") for file in _listed(folder) if file.endswith(".pem")]

    def settings(self) -> list[tuple[str, str]]:
        """Every setting, with what it is."""
        aliases = [(f"aliases.{name}", "") for name in _table(self._config.get("aliases"))]
        return [(setting.name, setting.about) for setting in SETTINGS] + aliases

    def project_labels(self) -> list[tuple[str, str]]:
        """The classes of the project in this folder or above."""
        here = Path.cwd()
        for folder in (here, *here.parents):
            classes = _table(_toml(folder / "modhub.toml").get("classes"))
            if classes:
                return [(str(label), str(ref)) for label, ref in classes.items()]
        return []

    @cached_property
    def cache(self) -> Path:
        """The folder of the cache."""
        named = self._cache or os.environ.get("MODHUB_CACHE")
        if named:
            return Path(named).expanduser()
        configured = self._config.get("cache")
        if isinstance(configured, str) and configured:
            return _config_path().parent / Path(configured).expanduser()
        return platformdirs.user_cache_path("modhub", appauthor=False)

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        return _toml(_config_path())

    def _configured(self) -> list[tuple[str, str]]:
        entries = self._config.get("registries")
        found = []
        for entry in entries if isinstance(entries, list) else ():
            table = entry if isinstance(entry, Mapping) else {"url": entry}
            found.append((str(table.get("name") or ""), _without_password(str(table.get("url") or ""))))
        return found

    def _folders(self) -> list[Path]:
        """The registries that are folders of this machine, the starter last."""
        named = dict(self._configured())
        chosen = os.environ.get("MODHUB_REGISTRY", "").split(",")
        urls = self._given or [text.strip() for text in chosen if text.strip()]
        urls = [named.get(url, url) for url in urls] or [url for _, url in self._configured()]
        base = _config_path().parent
        local = [url.removeprefix("file://") for url in urls if "://" not in url or url.startswith("file://")]
        own = [platformdirs.user_data_path("modhub", appauthor=False) / "registry"] if not urls else []
        return [*(base / Path(url).expanduser() if not self._given else Path(url) for url in local), *own, _STARTER]

    def _kept(self) -> Iterator[Mapping[str, Any]]:
        for file in _listed(self.cache / NAMES):
            yield _table(_json(self.cache / NAMES / file).get("models"))


def _config_folder() -> Path:
    return platformdirs.user_config_path("modhub", appauthor=False)


def _config_path() -> Path:
    chosen = os.environ.get("MODHUB_CONFIG")
    return Path(chosen).expanduser() if chosen else _config_folder() / "config.toml"


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)[^/]*@", "", url)


def _listed(folder: Path) -> list[str]:
    """Names in a folder that could be ours, sorted; none without the folder."""
    try:
        return sorted(name for name in os.listdir(folder) if _NAME.match(name))  # noqa: PTH208 - several times faster
    except OSError:
        return []


def _json(path: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size <= _MAX_BYTES:
            return _table(json.loads(path.read_bytes()))
    return {}


def _toml(path: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    return {}


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

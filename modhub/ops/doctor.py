"""Looking at everything that modhub needs to work, without changing any of it."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from modhub.cache.cache import Cache, cache_folder
from modhub.engine.keras_backend import BACKENDS, require_keras_backend
from modhub.engine.run.memory import free
from modhub.errors import ModhubError
from modhub.installation.registries import STARTER_FOLDER, default_registry, opened_registries
from modhub.limits import GIB, MIB
from modhub.settings.config import config_path, load_config
from modhub.settings.private_keys import own_keys
from modhub.settings.values import Config
from modhub.signing.keys import is_locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from modhub.registry.reader import RegistryReader

#: ``fine`` works; ``note`` works, and is worth knowing; ``broken`` does not.
Health = Literal["fine", "note", "broken"]

_REQUIRED: Final = ("numpy", "pydantic", "click", "fsspec", "requests", "zstandard", "safetensors", "pillow", "tomlkit")
#: What the extras bring, by the extra's name.
_OPTIONAL: Final = {
    "onnx": "onnxruntime",
    "s3": "s3fs",
    "gs": "gcsfs",
    "az": "adlfs",
    "sftp": "paramiko",
    "sign": "cryptography",
    "heic": "pillow-heif",
    "plot": "matplotlib",
    "ray": "ray",
    "energy": "nvidia-ml-py",
}
#: Less free memory than this and a network of ordinary size may not load; less disk and it may not be installed.
_LITTLE_MEMORY: Final = GIB
_LITTLE_DISK: Final = GIB // 2


@dataclass(frozen=True)
class Checked:
    """One thing that was looked at. ``hint`` says what to do about it; ``data`` are plain values for programs."""

    area: str
    name: str
    health: Health
    text: str
    hint: str | None = None
    data: dict[str, object] = field(default_factory=dict)


def doctor(
    *,
    cache: str | Path | None = None,
    offline: bool = False,
    devices: Callable[[], list[str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Checked]:
    """Look at versions, backend, memory, configuration, registries, keys and cache, one after the other.

    ``offline`` asks no registry. ``devices`` says what the backend computes on, which loads it; ``progress`` is called
    with the bytes of the cache that are hashed, and all of them. Never raises for what it looks at.
    """
    yield from _versions()
    yield _backend(devices)
    yield _memory()
    try:
        config = load_config()
        config.signatures_required  # noqa: B018 - a variable may be wrong
    except ModhubError as error:
        yield _broken("configuration", str(config_path()), error)
        config = Config(config_path())
    else:
        there = "" if config.path.is_file() else ", which does not exist: all settings are the defaults"
        yield Checked("configuration", "file", "fine", f"{config.path}{there}")
    yield from _registries(config, offline=offline or config.offline)
    yield from _keys(config)
    yield from _cache(cache_folder(cache, config), progress)


def _versions() -> Iterator[Checked]:
    system = f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}"
    yield Checked("versions", "modhub", "fine", f"{_version('modhub') or 'not installed as a package'}; {system}")
    found = {name: _version(name) for name in _REQUIRED}
    missing = [name for name, number in found.items() if number is None]
    text = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    if missing:
        hint = f"pip install {' '.join(missing)}"
        yield Checked("versions", "libraries", "broken", text, hint, dict(found))
    else:
        yield Checked("versions", "libraries", "fine", text, None, dict(found))
    extras = {extra: _version(name) for extra, name in _OPTIONAL.items()}
    have = ", ".join(f"{_OPTIONAL[extra]} {number}" for extra, number in extras.items() if number) or "none"
    lack = ", ".join(extra for extra, number in extras.items() if not number)
    more = f"; not installed: {lack}" if lack else ""
    yield Checked("versions", "extras", "fine", f"{have}{more}", None, dict(extras))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _backend(devices: Callable[[], list[str]] | None) -> Checked:
    versions = {name: _version(name) for name in ("keras", *BACKENDS)}
    text = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    try:
        require_keras_backend()
    except ModhubError as error:
        # Without any backend all that runs no network works; one that was chosen and is not there is a fault.
        chosen = bool(os.environ.get("KERAS_BACKEND"))
        health: Health = "broken" if chosen or error.kind != "missing-backend" else "note"
        return Checked("backend", "keras", health, error.message, error.hint, dict(versions))
    if devices is None:
        return Checked("backend", "keras", "fine", text, None, dict(versions))
    try:
        found = devices()
    except Exception as error:
        reason = str(error).strip().splitlines()
        return Checked(
            "backend",
            "keras",
            "broken",
            f"{text}: it cannot be loaded: {reason[0] if reason else type(error).__name__}",
            "install it again, or choose another with KERAS_BACKEND.",
            dict(versions),
        )
    return Checked("backend", "keras", "fine", f"{text}; computes on {', '.join(found)}", None, dict(versions))


def _memory() -> Checked:
    left = free()
    text = f"{left / GIB:.1f} GiB free for this process, {os.cpu_count() or 1} processors"
    data: dict[str, object] = {"free": left, "processors": os.cpu_count()}
    if left < _LITTLE_MEMORY:
        return Checked("memory", "memory", "note", text, "close other programs before running large networks.", data)
    return Checked("memory", "memory", "fine", text, None, data)


def _registries(config: Config, *, offline: bool) -> Iterator[Checked]:
    if offline:
        yield Checked("registries", "all", "note", "not asked, offline")
        return
    own = str(default_registry())
    for registry in opened_registries(config):
        names = [name for name in config.names if config.named_registry(name) == registry.url]
        name = names[0] if names else "starter" if registry.url == str(STARTER_FOLDER) else registry.url
        try:
            registry.check()
            count = len(registry.models())
        except ModhubError as error:
            if error.kind == "no-registry" and registry.url == own and not config.registry_urls:
                yield Checked("registries", "own", "fine", f"{own}: nothing was published there yet")
            else:
                yield _broken("registries", name, error)
            continue
        promises = _promises(registry)
        text = f"{registry.url}: {count} model{'' if count == 1 else 's'}; {', '.join(promises)}"
        yield Checked("registries", name, "fine", text, None, {"url": registry.url, "models": count, "is": promises})


def _promises(registry: RegistryReader) -> list[str]:
    """What the place guarantees, in words."""
    can = registry.store.capabilities
    if not can.writable:
        return ["read-only"]
    apart = "keeps publishers of one version apart" if can.exclusive_create else f"one publisher only: {can.why_not}"
    return ["writable", apart, "lists" if can.can_list else "does not list: found by its index"]


def _keys(config: Config) -> Iterator[Checked]:
    keys = own_keys()
    for key in keys:
        mode = key.path.stat().st_mode
        if key.public is None and not _is_locked_file(key.path):
            yield Checked("keys", key.name, "broken", f"{key.path} is no private key, or damaged", "move it away.")
        elif os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Checked("keys", key.name, "broken", f"others can read {key.path}", f"chmod 600 {key.path}")
    wanted = os.environ.get("MODHUB_SIGN")
    if wanted and wanted not in {key.name for key in keys}:
        hint = f"make it with modhub key new {wanted}, or unset MODHUB_SIGN."
        yield Checked("keys", wanted, "broken", f"MODHUB_SIGN is {wanted!r}, and there is no such key", hint)
    trusted = [key for key in config.trust if not key.revoked]
    text = f"{len(keys)} of your own, {len(trusted)} trusted"
    if config.require_signature and not trusted:
        yield Checked("keys", "all", "note", f"{text}; signatures are required", "modhub key trust lets one count.")
    else:
        yield Checked("keys", "all", "fine", text, None, {"own": len(keys), "trusted": len(trusted)})


def _is_locked_file(path: Path) -> bool:
    try:
        return is_locked(path.read_bytes())
    except OSError:
        return False


def _cache(root: Path, progress: Callable[[int, int], None] | None) -> Iterator[Checked]:
    cache = Cache(root)
    try:
        checked = cache.verify(progress)
        modules = len(cache.marked())
    except ModhubError as error:
        yield _broken("cache", str(root), error)
        return
    text = f"{root}: {modules} modules, {checked.size / MIB:.1f} MiB"
    data: dict[str, object] = {"cache": str(root), "modules": modules, "size": checked.size}
    if checked.damaged:
        what = f"{len(checked.damaged)} of {checked.files} files are damaged or missing"
        again = " ".join(map(str, checked.affected))
        hint = f"modhub install {again}" if again else "modhub cache prune, or delete what modhub cache verify names."
        yield Checked("cache", "bytes", "broken", f"{text}; {what}", hint, data)
    else:
        yield Checked("cache", "bytes", "fine", f"{text}, all as they should be", None, data)
    above = next(folder for folder in (root, *root.parents) if folder.exists())
    left = shutil.disk_usage(above).free
    if not os.access(above, os.W_OK):
        yield Checked("cache", "disk", "broken", f"{above} cannot be written", "set MODHUB_CACHE to another folder.")
    elif left < _LITTLE_DISK:
        hint = "free some space, for example with modhub cache prune --max-size 1GB."
        yield Checked("cache", "disk", "note", f"only {left / MIB:.0f} MiB are free there", hint, {"free": left})
    else:
        yield Checked("cache", "disk", "fine", f"{left / GIB:.1f} GiB free there", None, {"free": left})


def _broken(area: str, name: str, error: ModhubError) -> Checked:
    return Checked(area, name, "broken", error.message, error.hint, {"error": error.kind})

"""What people mean who type what other tools call it: ``show`` is ``info``, and nobody has to log in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_DOCS: Final = "registries need no account: see modhub registry --help, and for signing releases modhub key --help."

#: Command or group -> what was typed -> the command that does it, or with a blank in it a whole hint.
MEANINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "modhub": {
        **dict.fromkeys(("show", "view", "describe", "inspect", "details"), "info"),
        **dict.fromkeys(("init", "create", "project", "start"), "new"),
        **dict.fromkeys(("login", "logout", "auth", "whoami", "token", "account", "signup"), _DOCS),
        **dict.fromkeys(("sign", "keys", "keygen", "trust"), "key"),
        **dict.fromkeys(("rm", "del", "delete", "drop"), "remove takes a class out of the project, uninstall out of "
        "the cache; modhub registry takedown removes a release."),
        **dict.fromkeys(("ls", "dir", "modules", "installed"), "list"),
        **dict.fromkeys(("find", "query", "grep", "browse"), "search"),
        **dict.fromkeys(("run", "classify", "infer", "inference", "test-drive"), "predict"),
        **dict.fromkeys(("server", "endpoint", "http", "api", "daemon", "rest"), "serve"),
        **dict.fromkeys(("push", "upload", "release", "deploy"), "publish"),
        **dict.fromkeys(("pull", "get", "download", "fetch", "clone", "i"), "install"),
        **dict.fromkeys(("freeze", "pin"), "lock"),
        **dict.fromkeys(("convert", "save", "onnx"), "export"),
        **dict.fromkeys(("test", "eval", "score", "benchmark", "measure", "accuracy"), "evaluate"),
        **dict.fromkeys(("why", "heatmap", "cam", "attribute"), "explain"),
        **dict.fromkeys(("split", "cut", "modularize", "modularise", "make"), "decompose"),
        **dict.fromkeys(("combine", "join", "mix", "concat"), "compose puts modules together; modhub merge joins the "
        "classes of two projects."),
        **dict.fromkeys(("replace", "switch"), "swap"),
        **dict.fromkeys(("mv", "move", "relabel"), "rename"),
        **dict.fromkeys(("keep", "only", "filter", "select"), "restrict"),
        **dict.fromkeys(("unpublish", "deprecate", "withdraw", "retract"), "yank"),
        **dict.fromkeys(("status", "stale"), "outdated"),
        **dict.fromkeys(("restore", "ci"), "sync"),
        **dict.fromkeys(("clean", "prune", "purge", "gc", "clear"), "cache clean"),
        **dict.fromkeys(("audit", "check", "validate", "replay"), "verify checks a project, modhub doctor this "
        "installation, modhub registry fsck a registry."),
        **dict.fromkeys(("health", "diagnose", "env", "selfcheck", "system"), "doctor"),
        **dict.fromkeys(("settings", "set", "configure", "preferences"), "config"),
        **dict.fromkeys(("completions", "autocomplete", "complete"), "completion"),
        **dict.fromkeys(("remote", "registries", "source", "index", "repo"), "registry"),
        **dict.fromkeys(("finetune", "fine-tune", "adapt", "retrain", "train"), "update adapts modules by examples; "
        "to move a project to newer releases: modhub upgrade."),
        **dict.fromkeys(("up", "bump"), "upgrade"),
        **dict.fromkeys(("compare",), "diff compares releases, modhub evaluate --compare what they answer."),
        **dict.fromkeys(("version", "about"), "--version"),
        **dict.fromkeys(("example", "tutorial", "quickstart", "try", "hello"), "demo"),
    },
    "modhub registry": {
        **dict.fromkeys(("create", "new", "make"), "init"),
        **dict.fromkeys(("ls", "show"), "list"),
        **dict.fromkeys(("rm", "del", "forget", "unset"), "remove"),
        **dict.fromkeys(("set", "use", "login", "connect"), "add"),
        **dict.fromkeys(("check", "verify", "doctor"), "fsck"),
        **dict.fromkeys(("clean", "prune"), "gc"),
        **dict.fromkeys(("copy", "clone", "sync", "push", "pull"), "mirror"),
        **dict.fromkeys(("delete", "unpublish"), "takedown removes a release for good, remove forgets a registry, "
        "modhub yank lets resolution skip a release."),
    },
    "modhub cache": {
        **dict.fromkeys(("path", "where", "location"), "dir"),
        **dict.fromkeys(("ls", "show", "info"), "list"),
        **dict.fromkeys(("clear", "purge", "empty", "wipe", "delete"), "clean"),
        **dict.fromkeys(("rm", "remove"), "clean empties the cache; modhub uninstall takes single modules out."),
        **dict.fromkeys(("gc", "tidy"), "prune"),
        **dict.fromkeys(("check", "fsck"), "verify"),
    },
    "modhub config": {
        **dict.fromkeys(("show", "ls", "print"), "list"),
        **dict.fromkeys(("rm", "remove", "delete", "reset"), "unset"),
        **dict.fromkeys(("where", "file", "dir", "edit"), "path"),
        **dict.fromkeys(("add", "put"), "set"),
    },
    "modhub key": {
        **dict.fromkeys(("create", "generate", "gen", "make", "init"), "new"),
        **dict.fromkeys(("ls",), "list"),
        **dict.fromkeys(("add", "import"), "trust"),
        **dict.fromkeys(("rm", "remove", "delete", "untrust"), "revoke"),
    },
    "modhub alias": {
        **dict.fromkeys(("add", "new", "create"), "set"),
        **dict.fromkeys(("ls",), "list"),
        **dict.fromkeys(("rm", "delete", "unset"), "remove"),
    },
}  # fmt: skip

#: Options under names that other tools give them.
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("--output", "-o", "--output-file", "--save", "--to"), ("--out",)),
    **dict.fromkeys(("--overwrite", "-f", "--replace", "--exist-ok"), ("--force",)),
    **dict.fromkeys(("--name", "-n"), ("--as",)),
    **dict.fromkeys(("--image", "--input", "-i", "--file", "--photos"), ("--images",)),
    **dict.fromkeys(("--index-url", "--url", "--repo", "--remote", "--source"), ("--registry",)),
    **dict.fromkeys(("--simulate", "--what-if", "--plan"), ("--dry-run",)),
    **dict.fromkeys(("-y", "--assume-yes", "--no-confirm"), ("--yes",)),
    **dict.fromkeys(("--threshold", "--unknown"), ("--reject",)),
    **dict.fromkeys(("--resize", "--crop"), ("--fit", "--adapt")),
    **dict.fromkeys(("--topk", "--top-k", "-k"), ("--top",)),
    **dict.fromkeys(("--no-network", "--local"), ("--offline",)),
    **dict.fromkeys(("--dataset", "--test", "--train"), ("--data",)),
}


def meant_command(group: str, typed: str) -> str | None:
    """The hint for a command that ``group`` (``modhub``, ``modhub cache``) lacks; None when its meaning is unknown."""
    meant = MEANINGS.get(group, {}).get(typed.lower())
    if meant is None:
        return None
    if meant == _DOCS:
        return meant
    command, _, more = meant.partition(" ")
    if not more:
        return f"did you mean {group} {command}?"
    return f"did you mean {group} {meant}?" if " " not in more else f"{group} {meant}"


def meant_option(known: list[str], typed: str) -> str | None:
    """The option among ``known`` that other tools call ``typed``."""
    return next((f"did you mean {option}?" for option in _OPTIONS.get(typed, ()) if option in known), None)

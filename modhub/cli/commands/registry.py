"""``modhub registry``: naming registries, creating, examining, tidying, copying and carrying them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.advisories.matching import NoticeBoard
from modhub.cli import printing
from modhub.cli.configured import add_registry, list_registries, remove_registry
from modhub.cli.confirming import confirm
from modhub.cli.findings import (
    count,
    duration,
    mirrored_fields,
    print_findings,
    print_problems,
    print_some,
    report_fields,
)
from modhub.cli.options import Command, json_option, one_registry_option, registry_option, sign_option
from modhub.cli.outputs import check_free, force_option
from modhub.cli.progress import ProgressLine
from modhub.cli.root import CommandGroup, help_alone
from modhub.errors import IntegrityError
from modhub.installation.registries import publishing_registry, registries
from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.fsck import fsck as examine
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror as copy
from modhub.registry.admin.takedown import take_down
from modhub.registry.notices import notices_of
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import reindex as rebuild
from modhub.resolve.resolver import resolve
from modhub.settings.config import load_config, load_trust
from modhub.spec.refs import release_named
from modhub.spec.registry_files import check_reason
from modhub.storage.urls import open_store

if TYPE_CHECKING:
    from modhub.registry.writer import Registry
    from modhub.signing.keys import Signer
    from modhub.spec.refs import ModelRef

url_argument = click.argument("url", required=False, metavar="[URL]")


@click.group("registry", cls=CommandGroup)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Create, name and keep registries, the places that releases are published to.

    add, list and remove are about the registries that your configuration names, and change nothing in them.
    Commands that are about a registry as a whole take its URL, a folder or s3://, gs://, az:// and the like, as their
    argument; those that are about one release take it with --registry, as all of modhub does. Without one they work on
    the registry that modhub publish would use.
    """
    help_alone(ctx)


@command.command(
    "init",
    cls=Command,
    short_help="Create a registry.",
    examples=[
        "modhub registry init",
        "modhub registry init ~/team-registry",
        "modhub registry init s3://bucket/modules",
    ],
)
@url_argument
@click.option(
    "--single-writer",
    is_flag=True,
    help="Create it although its host cannot keep two publishers apart: only one process will ever publish there.",
)
@json_option
def init(url: str | None, single_writer: bool, as_json: bool) -> None:
    """Create a registry at URL, after trying whether the place can keep two publishers of one version apart.

    A registry that exists is left as it is.
    """
    registry = _registry(url)
    created = registry.initialise(single_writer=single_writer)
    if as_json:
        printing.document({"registry": registry.url, "created": created})
    else:
        where = printing.place(registry.url)
        printing.line(f"created the registry {where}" if created else f"{where} is a registry already")


@command.command(
    "fsck",
    cls=Command,
    short_help="Check that everything is there and right.",
    examples=["modhub registry fsck", "modhub registry fsck ~/team-registry --repair-from s3://bucket/modules"],
)
@url_argument
@click.option("--repair-from", "other", metavar="URL", help="Take from this registry what is damaged or missing.")
@json_option
def fsck_command(url: str | None, other: str | None, as_json: bool) -> None:
    """Read every manifest and record, hash every blob, and hold the index to the releases.

    What any crash may leave behind is called untidy and does no harm. Exit code 5 when something is damaged.
    """
    registry = _registry(url)
    with ProgressLine(f"reading {printing.place(registry.url)}") as progress:
        source = None if other is None else _source(other)
        report = examine(registry, repair_from=source, keys=_trusted_keys(), progress=progress.at)
    if not as_json:
        print_findings(report)
    elif report.clean:
        printing.document(report_fields(report))
    if not report.clean:
        raise IntegrityError(
            f"{count(len(report.damage), 'thing')} in the registry {registry.url} "
            f"{'is' if len(report.damage) == 1 else 'are'} damaged.",
            kind="damaged-registry",
            hint="repair it from a copy: modhub registry fsck --repair-from URL; or publish those releases again.",
            **report_fields(report),
        )


@command.command(
    "gc",
    cls=Command,
    short_help="Delete what no release needs.",
    examples=[
        "modhub registry gc --dry-run",
        "modhub registry gc",
        "modhub registry gc s3://bucket/modules --older-than 1d",
    ],
)
@url_argument
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--older-than",
    default="7d",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="How long nothing must have needed it: 7d, 12h, 30m. With 0 no publication may be running.",
)
@json_option
def gc(url: str | None, dry_run: bool, older_than: timedelta, as_json: bool) -> None:
    """Delete what publications that failed, and releases that were taken down, left behind.

    The first run writes down what nothing needs; a run after TIME deletes what still is not needed.
    """
    registry = _registry(url)
    with ProgressLine("looking for what nothing needs") as progress:
        done = collect(registry, older_than=older_than, dry_run=dry_run, progress=progress.at)
    for text in done.warnings:
        printing.warn(text)
    if as_json:
        printing.document(
            {
                "registry": done.registry,
                "dry_run": done.dry_run,
                "deleted": [one.path for one in done.deleted],
                "waiting": [one.path for one in done.waiting],
                "kept": [one.path for one in done.kept],
                "swept": done.swept,
                "freed": done.freed,
            }
        )
        return
    would = "would delete" if dry_run else "deleted"
    print_some([f"{would} {one.path}" for one in done.deleted])
    objects = f"{count(len(done.deleted), 'object')} of {printing.bytes_text(done.freed)}"
    printing.line(f"{would} {objects}, and {count(done.swept, 'unfinished write')}; {len(done.waiting)} wait.")
    if done.waiting:
        printing.note("what waits is deleted by a later run, when nothing has needed it for that long.")


@command.command(
    "reindex",
    cls=Command,
    short_help="Rebuild the derived index.",
    examples=["modhub registry reindex ~/team-registry"],
)
@url_argument
@json_option
def reindex_command(url: str | None, as_json: bool) -> None:
    """Rebuild the index from the releases, so that hosts that cannot list serve the registry by it alone."""
    registry = _registry(url)
    registry.check()
    with ProgressLine("reading releases"):
        problems = rebuild(registry)
    names = registry.models()
    if as_json:
        printing.document(
            {"registry": registry.url, "models": len(names), "problems": [problem.to_dict() for problem in problems]}
        )
    else:
        printing.line(f"rebuilt the index of {count(len(names), 'model')} in {printing.place(registry.url)}")
    print_problems(problems)


@command.command(
    "mirror",
    cls=Command,
    short_help="Copy releases from one registry to another.",
    examples=[
        "modhub registry mirror s3://bucket/modules ~/copy",
        "modhub registry mirror https://host/modules ~/copy 'cifar10/r56@^1' me/net",
    ],
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.argument("refs", nargs=-1, metavar="[REF...]")
@json_option
def mirror_command(source: str, target: str, refs: tuple[str, ...], as_json: bool) -> None:
    """Copy releases from the registry SRC to the registry DST, checked on the way: all, or those that REF... name.

    Signatures, aliases, yanks and takedowns come along. Run it again to continue, or to catch up.
    """
    with ProgressLine("looking at both registries") as progress:
        done = copy(_source(source), _registry(target), refs, keys=_trusted_keys(), progress=progress.at)
    if as_json:
        printing.document(mirrored_fields(done))
    else:
        print_some([f"copied {ref}" for ref in done.copied])
        printing.line(
            f"copied {count(len(done.copied), 'release')}, {printing.bytes_text(done.fetched)}; "
            f"{len(done.present)} were there, {len(done.taken_down)} are taken down."
        )
    print_problems(done.problems)


@command.command(
    "takedown",
    cls=Command,
    short_help="Remove a release for good.",
    examples=["modhub registry takedown me/net@1.0.0 --reason 'its images were not ours'"],
)
@click.argument("ref", metavar="NAMESPACE/MODEL@VERSION")
@one_registry_option
@click.option("--reason", required=True, metavar="TEXT", help="Why, for all who meet it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@sign_option
@json_option
def takedown(ref: str, registry: str | None, reason: str, yes: bool, sign: Signer | None, as_json: bool) -> None:
    """Remove the bytes of a release that must not be there. This cannot be undone.

    Its name and version stay taken for ever. To let resolution skip it, without removing anything: modhub yank.
    """
    place, release = _registry(registry), _release(ref)
    check_reason(reason)
    place.check()
    if not yes:
        confirm(f"taking down {release}", f"take down {release} from {printing.place(place.url)} for ever?")
    with ProgressLine(f"taking down {release}") as progress:
        done = take_down(place, release, reason, signer=sign, progress=progress.at)
    if as_json:
        printing.document(
            {
                "release": str(done.ref),
                "registry": done.registry,
                "reason": done.reason,
                "deleted": list(done.deleted),
                "shared": done.shared,
                "freed": done.freed,
            }
        )
        return
    shared = f"; {count(done.shared, 'blob')} stay, which other releases need" if done.shared else ""
    freed = f"{count(len(done.deleted), 'blob')} of {printing.bytes_text(done.freed)}"
    printing.line(f"took down {done.ref}: {done.reason}")
    printing.line(f"deleted {freed}{shared}.")


@command.command(
    "export",
    cls=Command,
    short_help="Write a release into one file.",
    examples=[
        "modhub registry export cifar10/r56@1.0.0 r56.modhub",
        "modhub registry export me/net net.modhub --registry ~/copy",
    ],
)
@click.argument("ref", metavar="NAMESPACE/MODEL[@VERSION]")
@click.argument("file", type=click.Path(path_type=Path))
@force_option
@registry_option
@json_option
def export_command(ref: str, file: Path, force: bool, registry: tuple[str, ...] | None, as_json: bool) -> None:
    """Write a release, with its signatures, into FILE, for machines without a network.

    Without a version the newest. There: modhub registry import FILE.
    """
    check_free(file, force=force, option="FILE")
    place, release = _found(ref, registry)
    with ProgressLine(f"exporting {release}") as progress:
        manifest = export_release(place, release, file, keys=_trusted_keys(), progress=progress.at)
    for remark in NoticeBoard(notices_of(place, release.namespace, thorough=True), place.url).about(release):
        printing.warn(f"{remark}; the file does not say so.")
    if as_json:
        document = {"release": str(release), "digest": manifest.digest, "file": str(file), "size": file.stat().st_size}
        printing.document(document)
    else:
        printing.line(f"wrote {release} to {file}, {printing.bytes_text(file.stat().st_size)}")


@command.command(
    "import",
    cls=Command,
    short_help="Publish a release that was exported.",
    examples=["modhub registry import r56.modhub", "modhub registry import r56.modhub --registry ~/team-registry"],
)
@click.argument("file", type=click.Path(path_type=Path))
@one_registry_option
@json_option
def import_file(file: Path, registry: str | None, as_json: bool) -> None:
    """Publish the release that modhub registry export wrote into FILE, after checking every byte of it."""
    place = _registry(registry)
    with ProgressLine(f"reading {file}") as progress:
        done = import_release(file, place, progress=progress.at)
    for text in done.warnings:
        printing.warn(text)
    if as_json:
        document = {"release": str(done.ref), "digest": done.digest, "registry": done.registry, "created": done.created}
        printing.document(document)
        return
    where = printing.place(done.registry)
    printing.line(f"published {done.ref}, in {where}" if done.created else f"{done.ref} was in {where} already")


for configuring in (add_registry, list_registries, remove_registry):
    command.add_command(configuring)


def _registry(url: str | None) -> Registry:
    return publishing_registry(url, load_config())


def _source(url: str) -> RegistryReader:
    """A registry to read, with signatures demanded where the configuration says so."""
    return RegistryReader(open_store(load_config().named_registry(url)), trust=load_trust(load_config()))


def _trusted_keys() -> list[str]:
    """Ids of the keys whose signatures are looked for where they cannot be listed."""
    return [key.id for key in load_config().trust]


def _release(ref: str) -> ModelRef:
    return release_named(ref)


def _found(ref: str, urls: tuple[str, ...] | None) -> tuple[RegistryReader, ModelRef]:
    """The release that a name means, and the first registry that has it."""
    config = load_config()
    places = registries(urls, config, trust=load_trust(config))
    first = resolve([ref], places, config.aliases)[0].modules[0]
    return next(place for place in places if place.url == first.registry), first.ref.release

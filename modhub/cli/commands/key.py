"""``modhub key``: one's own signing keys, and the keys of others that one trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modhub.cli import passphrase, printing
from modhub.cli.options import Command, json_option
from modhub.cli.printing import Column
from modhub.cli.root import CommandGroup, help_alone
from modhub.errors import UsageError
from modhub.installation.registries import publishing_registry
from modhub.settings.config import config_path, load_config
from modhub.settings.private_keys import create_key, key_path, load_private_key
from modhub.settings.trusted_keys import KnownKey, find_key, known_keys, revoke_trusted, trust_key
from modhub.signing.trusted_key import EVERY_NAMESPACE

if TYPE_CHECKING:
    from modhub.signing.keys import Signer

#: Digits of an id in a table: enough to distinguish keys, and what messages about signatures show.
_SHOWN = 16


@click.group("key", cls=CommandGroup)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Make, trust and revoke the keys that sign releases, aliases and yanks.

    A signature counts for those who trust its key for the namespace in question. With require_signature = true in the
    configuration, nothing counts without one.
    """
    help_alone(ctx)


@command.command(
    "new",
    cls=Command,
    short_help="Make a key to sign with.",
    examples=["modhub key new team-ci", "modhub key new laptop --passphrase"],
)
@click.argument("name")
@click.option(
    "--passphrase",
    "locked",
    is_flag=True,
    help="Lock it with a passphrase, which is asked for.  [env: MODHUB_KEY_PASSPHRASE]",
)
@json_option
def new_key(name: str, locked: bool, as_json: bool) -> None:
    """Make a private key and keep it under NAME, readable by you alone. It is never overwritten."""
    path = str(key_path(name))
    made = create_key(name, passphrase.choose_passphrase(name) if locked else None)
    if as_json:
        printing.document({"name": name, "id": made.id, "public": str(made.public), "path": path, "locked": locked})
        return
    printing.line(f"made the key {name}, in {printing.place(path)}")
    printing.fields([("public key", str(made.public)), ("id", made.id)])
    printing.note("anyone who should trust it, for the namespaces that you publish in, runs:")
    printing.note(f"  modhub key trust {made.public} --name {name} --namespace NAMESPACE")


@command.command(
    "list",
    cls=Command,
    short_help="List your keys and those you trust.",
    examples=["modhub key list", "modhub key list --json          with public keys and whole ids"],
)
@json_option
def list_keys(as_json: bool) -> None:
    """List your own keys, then those of others that you trust, and the namespaces that you trust them for."""
    known = known_keys()
    if as_json:
        printing.document({"keys": [_fields(key) for key in known]})
        return
    printing.table(
        [Column("key"), Column("id"), Column("yours"), Column("trusted for", wraps=True), Column("state", wraps=True)],
        [
            (
                " = ".join(key.names),
                key.public.id[:_SHOWN] if key.public is not None else "-",
                "yes" if key.own is not None else "no",
                ", ".join(key.trusted.namespaces) if key.trusted is not None else "-",
                _state(key),
            )
            for key in known
        ],
    )
    if not known:
        printing.note("there are no keys. Make one: modhub key new NAME")


@command.command(
    "trust",
    cls=Command,
    short_help="Believe what a key signs in a namespace.",
    examples=[
        "modhub key trust ed25519:9sG1...= --namespace cifar10 --namespace cifar100 --name team-ci",
        "modhub key trust laptop --namespace me            your own key",
    ],
)
@click.argument("key", metavar="PUBLIC_KEY")
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    required=True,
    metavar="NS",
    help="Believe it in this namespace; repeat it for several. '*' is all of them.",
)
@click.option("--name", metavar="NAME", help="What to call it.")
@json_option
def trust_command(key: str, namespaces: tuple[str, ...], name: str | None, as_json: bool) -> None:
    """Trust what PUBLIC_KEY signs in the namespaces given, in addition to those that it is trusted for already.

    A key that you have or trust may be given by its name. Get others' keys in a way that you trust: the maker of the
    key decides what you install.
    """
    trusted = trust_key(key, namespaces, name=name)
    if as_json:
        printing.document(_fields(find_key(trusted.key)))
        return
    where = "every namespace" if EVERY_NAMESPACE in trusted.namespaces else ", ".join(trusted.namespaces)
    printing.line(f"the key {trusted} is trusted for {where}, in {printing.place(str(config_path()))}")


@command.command(
    "revoke",
    cls=Command,
    short_help="Stop trusting a key, and publish that.",
    examples=[
        "modhub key revoke team-ci --reason 'its machine was broken into'",
        "modhub key revoke laptop --reason stolen --registry ~/team-registry",
    ],
)
@click.argument("key", metavar="KEY")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for all who meet it.")
@click.option("--registry", metavar="URL", help="Publish it to all who read this registry, too.")
@json_option
def revoke_key(key: str, reason: str, registry: str | None, as_json: bool) -> None:
    """Stop believing KEY (a name, a public key, or the first digits of its id), whatever it has signed.

    With --registry, a key of your own also says in that registry that it must not be trusted any more, which cannot be
    taken back. What it signed can be published again with another key, for the signature alone.
    """
    found = find_key(key)
    signer = _own_signer(key, found) if registry is not None else None
    if signer is None and found.trusted is None:
        raise UsageError(
            f"you do not trust the key {key!r}, so there is nothing to revoke here.",
            kind="not-trusted",
            hint="publish that: --registry URL.",
            key=key,
        )
    revoked = revoke_trusted(found.trusted, reason) if found.trusted is not None else None
    url, added = _publish_revocation(signer, reason, registry) if signer is not None else (None, False)
    if as_json:
        fields = {"names": found.names, "id": found.public.id if found.public else signer.id if signer else None}
        printing.document(fields | {"revoked": revoked.revoked if revoked else None, "registry": url, "told": added})
        return
    if revoked is not None:
        printing.line(f"the key {revoked} is revoked here: {revoked.revoked}")
    if url is not None:
        where = printing.place(url)
        printing.line(f"said so in {where}" if added else f"{where} says so already")


def _own_signer(text: str, found: KnownKey) -> Signer:
    if found.own is None:
        raise UsageError(
            f"only the key {text!r} itself can say in a registry that it is revoked, and its private half is not here.",
            kind="no-private-key",
            hint="leave out --registry to stop believing it yourself.",
            key=text,
        )
    return load_private_key(found.own.name, passphrase.ask)


def _publish_revocation(signer: Signer, reason: str, registry: str | None) -> tuple[str, bool]:
    place = publishing_registry(registry, load_config())
    return place.url, place.revoke_key(signer, reason)


def _state(key: KnownKey) -> str:
    if key.trusted is None:
        return "not trusted" if key.public is not None else "locked or damaged"
    return "trusted" if key.trusted.revoked is None else f"revoked: {key.trusted.revoked}"


def _fields(key: KnownKey) -> dict[str, Any]:
    return {
        "names": key.names,
        "id": key.public.id if key.public is not None else None,
        "public": str(key.public) if key.public is not None else None,
        "path": str(key.own.path) if key.own is not None else None,
        "namespaces": list(key.trusted.namespaces) if key.trusted is not None else [],
        "revoked": key.trusted.revoked if key.trusted is not None else None,
    }

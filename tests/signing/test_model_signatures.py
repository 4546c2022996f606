"""OpenSSF model signatures, made by the real library with keys and certificates made here, kept beside releases."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from model_signing import hashing, signing

import modhub
from modhub.cli import main
from modhub.errors import IntegrityError, UsageError
from modhub.ops.bundle_file import bundle_in
from modhub.ops.info import info
from modhub.ops.verify_signature import verified_signatures
from modhub.package.folder import Package, load_manifest, save_package
from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.publication import folder_files, versioned
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.signing.bundles import read_bundle
from modhub.spec.digests import sha256
from modhub.spec.layout import signature_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store
from tests.cards.carded import README, carded_release
from tests.registry import servers

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
REF = ModelRef("me", "net", "1.0.0")
PRIVATE = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Keys:
    """A key of a signer's own, one of a stranger's, and a certificate that a root of their own has signed."""

    def __init__(self, folder: Path) -> None:
        self.key, self.public = self._pair(folder, "team")
        _, self.stranger = self._pair(folder, "stranger")
        root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self._certificate(folder / "root.pem", "root", root, root, "root")
        self.other_root = self._certificate(folder / "other.pem", "other", leaf, leaf, "other")
        self.certificate = self._certificate(folder / "leaf.pem", "leaf", leaf, root, "root")
        self.leaf_key = folder / "leaf.key"
        self.leaf_key.write_bytes(leaf.private_bytes(*PRIVATE))

    @staticmethod
    def _pair(folder: Path, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = folder / f"{name}.key", folder / f"{name}.pub"
        private.write_bytes(key.private_bytes(*PRIVATE))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return private, public

    @staticmethod
    def _certificate(path: Path, name: str, key: Any, issuer_key: Any, issuer: str) -> Path:
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        usage = x509.KeyUsage(True, False, False, False, False, issuer_key is key, False, False, False)
        made = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=issuer_key is key, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(issuer_key, hashes.SHA256())
        )
        path.write_bytes(made.public_bytes(Encoding.PEM))
        return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest, blobs = carded_release()
    return save_package(Package(versioned(manifest, None), blobs), tmp_path / "net.modules")


def signed(folder: Path, keys: Keys, *, config: Callable[[], Any] = signing.Config) -> Path:
    bundle = folder.with_suffix(".sig")
    config().use_elliptic_key_signer(private_key=keys.key).sign(folder, bundle)
    return bundle


@pytest.fixture
def registry(tmp_path: Path, folder: Path, keys: Keys) -> Registry:
    """A registry with the release and its bundle."""
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*carded_release())
    registry.add_bundle(REF, bundle_in(signed(folder, keys)))
    return registry


def good(registry: RegistryReader, **options: Any) -> list[bool | None]:
    found = verified_signatures("me/net@1.0.0", registry=str(registry.url), **options)
    return [each.is_good for each in found.bundles]


def test_the_folder_behind_a_release_is_the_folder_that_was_signed(folder: Path) -> None:
    files = folder_files(carded_release()[0])
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert {name: sha256(path.read_bytes()).removeprefix("sha256:") for name, path in there.items()} == files
    assert load_manifest(folder).content.version is None


def test_a_signature_by_a_key_is_verified_with_it_and_no_other(registry: Registry, keys: Keys) -> None:
    assert good(registry) == [None]
    assert good(registry, key=keys.public) == [True]
    assert good(registry, key=keys.stranger) == [False]
    assert good(registry, certificates=[keys.root]) == [False]
    with pytest.raises(UsageError, match="a key and certificates"):
        good(registry, key=keys.public, certificates=[keys.root])


def test_a_signature_by_a_certificate_is_verified_up_to_its_root(registry: Registry, folder: Path, keys: Keys) -> None:
    bundle = folder.with_suffix(".cert")
    config = signing.Config().use_certificate_signer(
        private_key=keys.leaf_key, signing_certificate=keys.certificate, certificate_chain=[keys.root]
    )
    config.sign(folder, bundle)
    registry.add_bundle(REF, bundle_in(bundle))
    assert sorted(map(str, good(registry, certificates=[keys.root]))) == ["False", "True"]
    assert good(registry, certificates=[keys.other_root]) == [False, False]


def test_files_hashed_in_other_ways_are_verified_too(registry: Registry, folder: Path, keys: Keys) -> None:
    for number, hashed in enumerate(
        (
            hashing.Config().use_file_serialization(hashing_algorithm="blake2"),
            hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
            hashing.Config().use_shard_serialization(shard_size=1000),
        )
    ):
        bundle = signed(folder, keys, config=lambda hashed=hashed: signing.Config().set_hashing_config(hashed))
        registry.add_bundle(REF, bundle_in(bundle))
        assert good(registry, key=keys.public) == [True] * (number + 2)


def test_a_signature_that_leaves_files_out_or_is_of_another_folder_is_refused(
    registry: Registry, folder: Path, keys: Keys, tmp_path: Path
) -> None:
    careless = hashing.Config().set_ignored_paths(paths=[folder / "blobs"])
    bundle = bundle_in(signed(folder, keys, config=lambda: signing.Config().set_hashing_config(careless)))
    assert list(bundle.files) == ["manifest.json"]
    with pytest.raises(IntegrityError, match="leaves out blobs/") as caught:
        registry.add_bundle(REF, bundle)
    assert caught.value.kind == "other-files"
    other, blobs = carded_release(readme=README + "more")
    elsewhere = save_package(Package(versioned(other, None), blobs), tmp_path / "other.modules")
    with pytest.raises(IntegrityError, match=r"not of me/net@1\.0\.0"):
        registry.add_bundle(REF, bundle_in(signed(elsewhere, keys)))
    # Put there all the same, it is not good.
    registry.store.replace(signature_path(carded_release()[0].digest, bundle.digest), bundle.to_file())
    assert sorted(map(str, good(registry, key=keys.public))) == ["False", "True"]


@pytest.mark.parametrize("place", ["payload", "sig"])
def test_an_altered_bundle_is_not_good(registry: Registry, keys: Keys, place: str) -> None:
    (bundle,) = info("me/net", registry=registry.url).signing.bundles  # type: ignore[union-attr]
    value = json.loads(bundle.text)
    envelope = value["dsseEnvelope"]
    if place == "payload":
        statement = base64.b64decode(envelope["payload"]).replace(b"net.modules", b"xet.modules")
        envelope["payload"] = base64.b64encode(statement).decode()
    else:
        raw = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
        raw[-1] ^= 1
        envelope["signatures"][0]["sig"] = base64.b64encode(raw).decode()
    registry.add_bundle(REF, read_bundle(json.dumps(value).encode(), what="altered"))
    assert sorted(map(str, good(registry, key=keys.public))) == ["False", "True"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"mediaType":"x"}',
        '{"mediaType":3}',
        '{"mediaType":"application/vnd.dev.sigstore.bundle"}',
    ],
)
def test_what_is_no_bundle_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.sig").write_text(text)
    with pytest.raises(IntegrityError):
        bundle_in(tmp_path / "x.sig")


def test_it_goes_wherever_its_release_goes(registry: Registry, keys: Keys, tmp_path: Path) -> None:
    copy, third = (Registry(LocalStore(tmp_path / name)) for name in ("copy", "third"))
    with servers.static_server(Path(registry.url)) as url:
        mirror(RegistryReader(open_store(url)), copy)
        assert [each.is_good for each in verified_signatures("me/net", key=keys.public, registry=url).bundles] == [True]
    export_release(copy, REF, tmp_path / "net.modhub")
    import_release(tmp_path / "net.modhub", third)
    for _ in range(2):
        collect(third, older_than=datetime.timedelta())
    for each in (registry, copy, third):
        assert good(each, key=keys.public) == [True]
        report = fsck(each)
        assert (report.clean, report.untidy, report.signatures) == (True, (), 1)
    path = third.store.list("signatures")[0]
    third.store.replace(path, b"{}")
    assert not fsck(third).clean
    fsck(third, repair_from=copy)
    assert good(third, key=keys.public) == [True]


def test_verify_of_a_project_asks_for_the_signatures_of_all_its_releases(
    registry: Registry, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    modhub.Project.new("pets", ["me/net:cat"], registry=registry.url)
    command = ["verify", "--project", "pets", "--registry", registry.url]
    assert main(command) == 0
    assert main([*command, "--model-key", str(keys.public), "--json"]) == 0
    out = capsys.readouterr().out
    (signed,) = json.loads(out[out.index("{") :])["signed"]
    assert (signed["ref"], signed["good"]) == ("me/net@1.0.0", True)
    assert main([*command, "--model-key", str(keys.stranger)]) == 5


def test_the_commands_publish_show_and_verify(
    folder: Path, keys: Keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        return (code, *capsys.readouterr())

    bundle = signed(folder, keys)
    own = run("verify-signature", folder, "--signature", bundle, "--model-key", keys.public)
    assert (own[0], "verified, all files of the release" in own[1]) == (0, True)
    assert run("verify-signature", folder, "--model-key", keys.public)[0] == 2
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*carded_release())
    registry.add_bundle(REF, bundle_in(bundle))
    place = ("--registry", registry.url)
    shown = run("info", "me/net", *place)[1]
    assert "signed     OpenSSF model signature by a key " in shown
    verified = run("verify-signature", "me/net", "--model-key", keys.public, "--json", *place)
    assert (verified[0], json.loads(verified[1])["good"]) == (0, True)
    for options in ((), ("--model-key", keys.stranger)):
        code, _, err = run("verify-signature", "me/net", *options, *place)
        assert (code, "nobody whom you trust" in err) == (5, True)
    assert run("verify-signature", "me/net", "--model-key", tmp_path / "none.pub", *place)[0] == 3

"""Kinds of fuzzing that are what people say of releases, and what others sign: READMEs, licences, bundles."""

from __future__ import annotations

import base64
import json
from functools import cache
from random import Random

import fuzz_samples as samples
from fuzz_kinds import Case, Kind, WrongAnswer, as_case, attempt, text_of
from fuzz_mutators import ODD_TEXTS, bytes_spoilt, document_spoilt, text_spoilt, to_json, value_spoilt

from modhub.cards.document import ReleaseCard
from modhub.cards.read import card_from
from modhub.licensing.allowed import LicensedRelease, check_allowed
from modhub.licensing.compatibility import conflicts_among, unknown_among
from modhub.licensing.expression import canonical_license, license_choices
from modhub.signing.bundles import read_bundle, read_model_signature
from modhub.spec.card import CardFile

README = b"""---
license: other
license_name: Ours
language: [en, no]
tags: [pets, "1"]
datasets: [tiny]
training_data: [{name: photos, license: cc-by-4.0, url: 'https://example.org/p'}]
links: {paper: https://example.org/paper}
description: |
  Tells pets
  apart.
model-index:
- results:
  - dataset: {name: tiny}
    metrics: [{type: accuracy, value: 0.9}]
---
# Pets

A *model*, see [paper](https://example.org).
"""

_LICENSES = ("MIT", "mit or (GPL-2.0-only with classpath-exception-2.0 and cc-by-4.0)", "LicenseRef-a.b", "gpl-3.0+")


def _card(chance: Random) -> Case:
    front, dashes, body = README.partition(b"\n---\n")
    if chance.random() < 0.5:
        spoilt = text_spoilt(chance, front.decode(), ODD_TEXTS)
        return {"file": spoilt.encode("utf-8", "surrogatepass") + dashes + body}
    return {"file": bytes_spoilt(chance, README, samples.PROJECT)}


def _read_card(case: Case) -> bool:
    def read() -> CardFile:
        made = card_from(case["file"], what="the card x")
        if card_from(made.readme) != made:
            raise WrongAnswer("a README read again is another card")
        text = str(ReleaseCard("me/net@1.0.0", _with(made), made.readme.decode()))
        if not text.startswith("# me/net@1.0.0\n"):
            raise WrongAnswer("a card has another heading")
        return made

    return bool(attempt(read))


def _with(made: CardFile) -> samples.Manifest:
    manifest = samples.manifest()
    return manifest.model_copy(update={"content": manifest.content.model_copy(update={"card": made.card})})


def _license(chance: Random) -> Case:
    return as_case(text_spoilt(chance, chance.choice(_LICENSES), _LICENSES))


def _read_license(case: Case) -> bool:
    def read() -> str:
        text = text_of(case)
        release = LicensedRelease("me/net@1.0.0", text)
        check_allowed([release], ["MIT"])
        other = LicensedRelease("you/net@1.0.0", "GPL-2.0-only")
        conflicts_among([release, other]), unknown_among([release, other])
        canonical = canonical_license(text)
        if license_choices(canonical) != license_choices(text) or canonical_license(canonical) != canonical:
            raise WrongAnswer(f"{canonical!r} means something else than {text!r}")
        return canonical

    return bool(attempt(read))


@cache
def bundle() -> bytes:
    """A bundle of two files, whose signature is nobody's."""
    resources = [{"name": name, "algorithm": "sha256", "digest": "ab" * 32} for name in ("manifest.json", "blobs/x")]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "net.modules", "digest": {"sha256": "cd" * 32}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": {"method": "files", "hash_type": "sha256"}, "resources": resources},
    }
    envelope = {
        "payload": base64.b64encode(json.dumps(statement).encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "AAAA"}],
    }
    value = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "ef" * 32}, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    return json.dumps(value).encode()


def _bundle(chance: Random) -> Case:
    value = json.loads(bundle())
    if chance.random() < 0.4:
        statement = json.loads(base64.b64decode(value["dsseEnvelope"]["payload"]))
        spoilt = to_json(value_spoilt(chance, statement))
        value["dsseEnvelope"]["payload"] = base64.b64encode(spoilt).decode()
        return {"file": json.dumps(value).encode()}
    return {"file": to_json(value_spoilt(chance, value)) if chance.random() < 0.5 else bytes_spoilt(chance, bundle())}


def _read_bundle(case: Case) -> bool:
    def read() -> str:
        found = read_bundle(case["file"], what="the bundle x")
        if read_model_signature(found.to_file()).bundle != found.text:
            raise WrongAnswer("a bundle is kept as another one")
        attempt(lambda: found.require_files({"manifest.json": "ab" * 32, "blobs/x": "ab" * 32}, "the folder x"))
        return found.digest

    return bool(attempt(read))


def _kept_bundle(chance: Random) -> Case:
    kept = read_bundle(bundle(), what="the bundle").to_file()
    return {"file": document_spoilt(chance, kept, samples.signature_of(samples.STATEMENT))}


def _read_kept(case: Case) -> bool:
    return bool(attempt(lambda: read_model_signature(case["file"])))


KINDS = [
    Kind("cards", 4, _card, _read_card),
    Kind("licences", 2, _license, _read_license),
    Kind("bundles", 2, _bundle, _read_bundle),
    Kind("model signatures", 2, _kept_bundle, _read_kept),
]

"""A registry of somebody who means ill: wherever its files may hold text, they hold one of ``payloads``.

All of it is what the schema allows: a payload that a field refuses, such as one in a digest, is left out there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from modhub.errors import ModhubError
from modhub.package.folder import Package
from modhub.package.readme import with_card
from modhub.registry.advising import AdvisoryDraft
from modhub.registry.writer import Registry
from modhub.spec.advisories import Affected, AffectedRange, Reference
from modhub.spec.card import Card, CardFile, ReportedFigure, TrainedOn
from modhub.spec.digests import sha256
from modhub.spec.manifest import (
    Accuracy,
    Compacted,
    CompactedFrom,
    Content,
    Derivation,
    EnergySpent,
    FusedAgreement,
    Manifest,
    Metric,
    Provenance,
    VoteRecord,
    digest_of,
)
from modhub.spec.refs import ModuleRef
from modhub.storage.local import LocalStore
from modhub.storage.verify import VerifiedBlob
from tests.browser.payloads import PAYLOADS
from tests.synthetic import release

#: Models, and payloads in one field where they fit: with both, every field has every payload.
MODELS = 6
_AT_ONCE = 8
#: Of one model, since such a page takes long to draw.
README = "\n\n".join(f"{each}\n\n# {each}\n\n> {each}\n\n| a |\n| - |\n| {each} |" for each in PAYLOADS)


def hostile_registry(folder: Path) -> list[str]:
    """Publish into ``folder``; gives the names of the modules that can be composed."""
    registry = Registry(LocalStore(folder))
    refs = []
    for number in range(MODELS):
        payload = cycle(_joined(number))
        manifest, blobs = _release(f"evil/net-{number}", payload, README if number == 0 else next(payload))
        registry.publish(manifest, blobs)
        refs += [f"{manifest.content.name}:{module.slug}" for module in manifest.content.modules if module.index != 1]
        _speak_against(registry, manifest, payload)
    # A release of which only the name can be believed.
    broken = folder / "releases" / "evil" / "broken" / "1.0.0.json"
    broken.parent.mkdir()
    broken.write_text("".join(PAYLOADS))
    return refs


def _joined(number: int) -> list[str]:
    """The payloads by several, so that few fields hold all; in another order for each model."""
    turned = PAYLOADS[number * _AT_ONCE :] + PAYLOADS[: number * _AT_ONCE]
    return [" ".join(turned[start : start + size]) for size in (3, 1) for start in range(0, len(turned), size)]


def _release(name: str, payload: Iterator[str], readme: str) -> tuple[Manifest, Mapping[str, VerifiedBlob]]:
    manifest, blobs = release(name, "1.0.0", classes=("Class 1", "Class 2", "Class 3"))
    records = {record.sha256: record for record in manifest.blobs.values()}
    package = Package(manifest, {digest: VerifiedBlob(records[digest], data) for digest, data in blobs.items()})
    card = CARD.model_copy(update={"readme": sha256(readme.encode())})
    package = with_card(package, CardFile(card, readme.encode()))
    manifest, content = package.manifest, _talkative(package.manifest.content)
    kept = {"namespace", "model", "version", "format"}
    planted_content = planted(
        content.model_dump(mode="json", exclude=kept),
        payload,
        lambda tried: _is_valid(Content, tried | {name: getattr(content, name) for name in kept - {"format"}}),
    )
    content = Content.model_validate(
        planted_content | {"namespace": content.namespace, "model": content.model, "version": content.version}
    )
    made = PROVENANCE.model_dump(mode="json")
    made = planted(made, payload, lambda tried: _is_valid(Provenance, tried))
    changes = {"content": content, "digest": digest_of(content), "provenance": Provenance.model_validate(made)}
    return manifest.model_copy(update=changes), package.blobs


def _talkative(content: Content) -> Content:
    """With all parts that a release may have beside those that it must have, and with names that mean nothing else."""
    plain = content.model_dump(mode="json")
    network = plain["origin"]["architecture"]
    network["layers"]["layer 1"] = network["layers"].pop("relu")
    network["calls"][1] |= {"id": "site 1", "layer": "layer 1"}
    network["calls"][2]["inputs"] = ["site 1"]
    plain["sites"] = _replaced(plain["sites"], "relu", "site 1")
    content = Content.model_validate(plain)
    module = content.modules[0]
    metric = Metric(data="d1", examples=9, vote_recall=0.5, vote_precision=0.5, own_recall=0.5, own_precision=0.5)
    derived = Derivation(module="m1", digest=module.blob, strategy="tangle", examples=3)
    told = module.model_copy(update={"metrics": (metric,), "derived_from": (derived,)})
    compacted = Compacted(
        of=(CompactedFrom(name="o1", trunk=module.blob),),
        select="s1",
        budget="flops",
        asked=0.5,
        images=9,
        seed=0,
        polish_steps=0,
        flops=0.5,
        parameters=0.5,
        nodes=0.5,
        origin_nodes=9,
        explained=0.9,
        points=1.0,
        points_images=9,
    )
    vote = VoteRecord(margin_scale=1.0, temperature=1.0, data="d2", examples=9)
    accuracy = (Accuracy(data="d3", examples=9, top_1=0.5, top_5=0.9),)
    return content.model_copy(
        update={
            "origin": content.origin.model_copy(update={"vote": vote, "accuracy": accuracy}),
            "modules": (told, *content.modules[1:]),
            "fused": FusedAgreement(data="d4", examples=9, classes=3, labels=0.9, margin=0.1),
            "compacted": compacted,
        }
    )


def _speak_against(registry: Registry, manifest: Manifest, payload: Iterator[str]) -> None:
    """An advisory, a deprecation, a yanked class and yanked release: all with reasons."""
    content = manifest.content
    ref = ModuleRef(content.namespace, content.model, content.modules[1].slug, str(content.version))
    affected = Affected(model=content.model, ranges=(AffectedRange(introduced="0"),))
    one_class = Affected(model=content.model, classes=(content.modules[0].slug,), ranges=affected.ranges)
    for affects in (affected, one_class):
        address = quote(_address(next(payload)), safe=_ALLOWED)
        registry.advise(
            AdvisoryDraft(
                content.namespace,
                next(payload),
                "critical",
                (affects,),
                instead=next(payload),
                references=(Reference(url=address), Reference(url='https://x/"onmouseover=alert(1)//')),
                evidence={next(payload)[:200]: b"evidence"},
            )
        )
    registry.deprecate(content.name, next(payload))
    registry.yank_class(ref, next(payload))


#: What an address may hold without being written as a number.
_ALLOWED = "".join(map(chr, range(33, 127)))


def planted(value: Any, payload: Iterator[str], is_valid: Callable[[Any], bool]) -> Any:
    """``value`` with every text in it, equal ones alike, replaced by a payload where ``is_valid`` accepts that."""
    for text in sorted(set(_texts(value))):
        for _ in range(4):
            other = next(payload)
            tried = _replaced(value, text, _address(other) if text.startswith("https://") else other)
            if is_valid(tried):
                value = tried
                break
    return value


def _address(payload: str) -> str:
    return "https://x/" + "".join(payload.split())


def _texts(value: Any) -> Iterator[str]:
    """All texts, and the names in objects whose names are free."""
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, str):
            yield each
        elif isinstance(each, (dict, list)):
            yield from _texts(each)
            yield from each if name in ("links", "versions") else ()


def _replaced(value: Any, text: str, other: str) -> Any:
    if isinstance(value, dict):
        return {(other if name == text else name): _replaced(each, text, other) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, text, other) for each in value]
    return other if value == text else value


def _is_valid(model: type[BaseModel], value: Any) -> bool:
    try:
        model.model_validate(value)
    except (ValidationError, ModhubError):
        return False
    return True


CARD = Card(
    license="LicenseRef-x",
    license_name="l1",
    license_url="https://x/l2",
    description="c1",
    authors=("c2",),
    links={"c3": "https://x/c4"},
    keywords=("c5", "c6"),
    languages=("c7",),
    library="c8",
    base_models=("c9",),
    intended_use="e1",
    limits="e2",
    training_data=(TrainedOn(name="e3", url="https://x/e4"),),
    metrics=("e5",),
    reported=(ReportedFigure(metric="e6", value="e7", data="e8"),),
)
PROVENANCE = Provenance(
    created="p1",
    tool="p2",
    backend="p3",
    versions={"p4": "p5"},
    energy=EnergySpent(seconds=1, kwh=1, co2e_kg=1, source="p6"),
)

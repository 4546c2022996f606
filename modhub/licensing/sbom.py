"""A classifier's releases as a CycloneDX bill of materials with model cards (ML-BOM, CycloneDX 1.6), as JSON.

``cyclonedx-python-lib`` builds the document; it has no class for model cards yet, so these are put in as the schema
that it ships describes them, and the whole is validated against that schema before anybody gets it. Equal releases give
equal documents, their time apart, which ``SOURCE_DATE_EPOCH`` fixes.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from modhub.errors import ModhubError, UsageError
from modhub.licensing.expression import license_choices
from modhub.spec.card import Card
from modhub.spec.contract import input_text
from modhub.spec.manifest import Content, Manifest

try:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType, Pedigree
    from cyclonedx.model.contact import OrganizationalContact
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
except ImportError as missing:
    raise UsageError(
        "a bill of materials needs the library cyclonedx-python-lib, which is not installed.",
        kind="missing-extra",
        hint="pip install 'modhub[sbom]'",
        extra="sbom",
    ) from missing

#: What serial numbers are made of: the same releases are the same bill.
_NAMESPACE: Final = uuid.UUID("7a1f3a54-4d5f-5bd1-9d0b-2f6a1f0f6f6b")


@dataclass(frozen=True)
class SbomPart:
    """A release, the classes that are used of it, and the registry that it comes from, if that is known."""

    manifest: Manifest
    classes: tuple[str, ...]
    registry: str | None = None

    @property
    def name(self) -> str:
        content = self.manifest.content
        return content.name if content.version is None else f"{content.name}@{content.version}"


def cyclonedx_document(name: str, parts: Sequence[SbomPart]) -> dict[str, Any]:
    """The bill of materials of the classifier ``name``, which uses ``parts``; valid by the schema of CycloneDX 1.6."""
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, " ".join([name, *(part.manifest.digest for part in parts)])))
    bom.metadata.timestamp = _now()
    bom.metadata.component = Component(name=name, type=ComponentType.APPLICATION, bom_ref=f"classifier:{name}")
    components = [_component(part) for part in parts]
    bom.components.update(components)
    data = {each.bom_ref.value: each for part in parts for each in _training_data(part)}
    bom.components.update(data.values())
    bom.register_dependency(bom.metadata.component, components)
    for part, component in zip(parts, components, strict=True):
        bom.register_dependency(component, [data[str(each.bom_ref.value)] for each in _training_data(part)])
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    cards = {part.name: _model_card(part) for part in parts}
    for component in document["components"]:
        if component["bom-ref"] in cards:
            component["modelCard"] = cards[component["bom-ref"]]
    _check(document)
    return document


def _check(document: Mapping[str, Any]) -> None:
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    if problem is not None:
        raise ModhubError(
            f"the bill of materials does not follow the schema of CycloneDX: {str(problem)[:200]}.", kind="bad-sbom"
        )


def _now() -> datetime:
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(fixed), UTC) if fixed.isdecimal() else datetime.now(UTC)


def _component(part: SbomPart) -> Component:
    content, card = part.manifest.content, part.manifest.content.card or Card()
    properties = [("digest", part.manifest.digest), *(("class", each) for each in part.classes)]
    # A path of this machine says nothing anywhere else.
    properties += [("registry", part.registry)] if part.registry and "://" in part.registry else []
    properties += [("license-name", card.license_name)] if card.license_name else []
    spent = part.manifest.provenance.energy
    properties += [("decomposing-kwh", repr(spent.kwh)), ("decomposing-co2e-kg", repr(spent.co2e_kg))] if spent else []
    component = Component(
        name=content.name,
        version=content.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=part.name,
        description=card.description,
        licenses=_licenses(card.license),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.manifest.digest.removeprefix("sha256:"))],
        authors=[OrganizationalContact(name=author) for author in card.authors],
        properties=[Property(name=f"modhub:{name}", value=value) for name, value in properties],
        external_references=[
            ExternalReference(type=ExternalReferenceType.OTHER, url=XsUri(url), comment=label)
            for label, url in card.links.items()
        ],
    )
    component.tags.update(card.keywords)
    if card.license_url:
        reference = ExternalReference(type=ExternalReferenceType.LICENSE, url=XsUri(card.license_url))
        component.external_references.add(reference)
    if card.base_models:
        ancestors = [Component(name=base, type=ComponentType.MACHINE_LEARNING_MODEL) for base in card.base_models]
        component.pedigree = Pedigree(ancestors=ancestors)
    return component


def _licenses(text: str | None) -> list[DisjunctiveLicense | LicenseExpression]:
    """An expression as such; what SPDX cannot read is a name."""
    if text is None:
        return []
    try:
        license_choices(text)
    except UsageError:
        return [DisjunctiveLicense(name=text)]
    return [LicenseExpression(text)]


def _training_data(part: SbomPart) -> Iterator[Component]:
    card = part.manifest.content.card or Card()
    for data in card.training_data:
        links = [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(data.url))] if data.url else []
        yield Component(
            name=data.name,
            type=ComponentType.DATA,
            bom_ref=f"data:{part.name}:{data.name}",
            licenses=_licenses(data.license),
            external_references=links,
        )


def _model_card(part: SbomPart) -> dict[str, Any]:
    content, card = part.manifest.content, part.manifest.content.card or Card()
    observed = {"type": "dataset", "name": content.origin.dataset.name}
    considerations: dict[str, Any] = {}
    if card.intended_use:
        considerations["useCases"] = [card.intended_use]
    if card.limits:
        considerations["technicalLimitations"] = [card.limits]
    return {
        "modelParameters": {
            "task": "classification",
            "datasets": [observed, *({"ref": str(each.bom_ref.value)} for each in _training_data(part))],
            "inputs": [{"format": _input_format(content)}],
            "outputs": [{"format": f"one of {', '.join(part.classes)}"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(part))},
        **({"considerations": considerations} if considerations else {}),
    }


def _input_format(content: Content) -> str:
    return f"{input_text(content.contract)} {content.contract.dtype}"


def _metrics(part: SbomPart) -> Iterator[dict[str, str]]:
    content = part.manifest.content
    for accuracy in content.origin.accuracy:
        yield {"type": "top-1 accuracy", "value": repr(accuracy.top_1), "slice": f"{accuracy.data}, the whole network"}
    for module in content.modules:
        if module.metrics and module.name in part.classes:
            metric, where = module.metrics[-1], f"{module.metrics[-1].data}, {module.name}"
            yield {"type": "recall", "value": repr(metric.vote_recall), "slice": where}
            yield {"type": "precision", "value": repr(metric.vote_precision), "slice": where}
    for figure in (content.card or Card()).reported:
        about = f"{figure.data}, " if figure.data else ""
        yield {"type": figure.metric, "value": figure.value, "slice": f"{about}reported by the publisher"}

"""Modules without a network: enough for plans and votes, which never run one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from modhub.composition.plan import Plan, make_plan, natural_classes
from modhub.composition.recipe import ClassifierSettings, Recipe, Stage
from modhub.package.module import Head, Module, Origin, PackedMasks
from modhub.spec.digests import sha256
from modhub.spec.input_contract import ImageContract
from modhub.spec.manifest import Stages, VoteRecord
from modhub.spec.refs import slug_of
from tests.synthetic import ARCHITECTURE

CONTRACT = ImageContract(
    height=32, width=32, channels=3, dtype="uint8", value_range=(0, 255), colour="rgb", rescale=1 / 255
)

VOTE = VoteRecord(margin_scale=2.0, temperature=1.5, data="them (observed)", examples=100)


def origin(name: str = "cifar10/r56", *, contract: ImageContract = CONTRACT, classes=("cat", "dog", "ship")) -> Origin:
    namespace, model = name.split("/")
    return Origin(
        namespace=namespace,
        model=model,
        classes=tuple(classes),
        architecture=ARCHITECTURE,
        weights={},
        contract=contract,
        fingerprint=sha256(f"{name} {contract}".encode()),
        vote=VOTE,
    )


def module(ref: str = "cifar10/r56:cat", *, contract: ImageContract = CONTRACT, **fields) -> Module:
    """The module that ``namespace/model:class[@version]`` names; ``fields`` as in Module."""
    name, _, rest = ref.partition(":")
    display, _, version = rest.partition("@")
    empty = PackedMasks.of({"relu": np.ones((2, 2, 2), bool)})
    made = Module(
        origin=origin(name, contract=contract, classes=("cat", "dog", display)),
        index=2,
        name=display,
        slug=slug_of(display),
        keep=empty,
        concern=empty,
        head=Head(np.zeros((8, 2), np.float32), np.zeros(2, np.float32)),
        threshold=0.0,
        scale=1.0,
        concerned=10,
        unconcerned=10,
        stages=Stages(concern=(8,), tangled=(0,), last_conv=(0,), input=(0,), kept=(8,)),
        jaccard=1.0,
        jaccard_weights=1.0,
        digest=sha256(ref.encode()),
        version=version or None,
    )
    return replace(made, **fields)


def made_plan(modules: Iterable[Module], stages: Iterable[Stage[Module]] = (), **settings: Any) -> Plan:
    """A plan of modules under their classes' names; ``settings`` as in ClassifierSettings."""
    return make_plan(Recipe(natural_classes(modules), tuple(stages), ClassifierSettings(**settings)))

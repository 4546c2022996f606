"""A classifier of arrays, served: numbers are classified, pictures are refused, before and after a reload."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import requests

import modhub
from modhub.composition.composite import Composite
from modhub.errors import UsageError
from modhub.serving.bounds import ServingLimits
from modhub.serving.served import ServedClassifier
from modhub.serving.server import ServedHere
from modhub.serving.service import PictureWay, Service
from tests.serving.conftest import png
from tests.small_arrays import rows, table_network


@pytest.fixture(scope="module")
def wines() -> Composite:
    data = rows()
    return modhub.compose(modhub.decompose(table_network(), *data.both, classes=data.classes, name="me/wines"))


@pytest.fixture(scope="module")
def served(wines: Composite) -> Iterator[ServedHere]:
    with modhub.serve(wines, port=0, name="wines") as here:
        yield here


def test_rows_as_json_are_classified_as_predict_does(served: ServedHere, wines: Composite) -> None:
    x = rows().x[:5]
    answer = requests.post(f"{served.url}/predict", json={"inputs": x.tolist()}, timeout=60).json()
    wanted = wines.predict(x)
    assert [each["label"] for each in answer["images"]] == list(wanted.labels)


def test_an_existing_client_infers_rows(served: ServedHere, wines: Composite) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="the client of the protocol is missing")
    x = rows().x[:5]
    with triton.InferenceServerClient(served.url.removeprefix("http://")) as client:
        [tensor] = client.get_model_metadata("wines")["inputs"]
        given = triton.InferInput(tensor["name"], list(x.shape), "FP32")
        given.set_data_from_numpy(x)
        margins = client.infer("wines", [given]).as_numpy("margins")
    np.testing.assert_allclose(margins, wines.predict(x).margins, rtol=1e-5, atol=1e-5)


def test_a_picture_is_refused(served: ServedHere) -> None:
    picture = png(np.zeros((6, 6, 1), np.uint8))
    answer = requests.post(f"{served.url}/predict", data=picture, headers={"Content-Type": "image/png"}, timeout=60)
    assert answer.status_code == 400, answer.text


def test_a_reload_that_pictures_do_not_fit_is_refused(pets: Composite, wines: Composite) -> None:
    before = ServedClassifier(pets, "pets", 8)
    service = Service(before, ServingLimits(), PictureWay(fit="crop"))
    with pytest.raises(UsageError, match="fit"):
        service.replace(ServedClassifier(wines, "pets", 8))
    assert service.classifier is before

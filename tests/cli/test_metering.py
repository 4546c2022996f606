"""``--meter``: a line or a JSON field, into the provenance of a decomposition, and what it refuses."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.energy.counters import Counter
from modhub.energy.meter import Instruments, Meter
from modhub.spec.manifest import read_manifest, write_manifest
from tests.cli import origin

COUNTED = Path("/sys/class/powercap/intel-rapl:0").exists()
pytestmark = pytest.mark.skipif(COUNTED, reason="this machine has a power counter")


@pytest.fixture
def predict(workshop, run):
    def predict(*arguments: str):
        refs = ["me/net:cat", "me/net:dog"]
        return run("predict", *refs, "--images", workshop["images"], "--registry", workshop.registry, *arguments)

    return predict


def test_a_metered_command_says_what_it_drew(predict) -> None:
    result = predict("--meter")
    assert result.code == 0
    energy = [line for line in result.err.splitlines() if line.startswith("energy: ")]
    assert len(energy) == 1
    assert "kWh" in energy[0]
    assert "kg CO2e" in energy[0]
    assert "estimate: 4 W for each of" in energy[0]
    assert "energy" not in result.out
    assert "energy" not in predict().err


def test_in_json_it_is_a_field(predict) -> None:
    plain, metered = (
        predict("--json").document,
        predict("--json", "--meter", "--pue", "1", "--intensity", "0.5").document,
    )
    energy = metered.pop("energy")
    assert metered == plain
    assert energy["estimate"] is True
    assert energy["pue"] == 1
    assert energy["kwh"] > 0
    assert energy["co2e_kg"] == pytest.approx(energy["kwh"] / 2)
    assert energy["parts"]["cpu"]["source"].startswith("estimate: ")


@pytest.mark.parametrize(
    ("options", "kind", "code", "text"),
    [
        (["--meter=counter"], "no-power-counter", 1, "no readable power counter: there is no /sys/class/powercap"),
        (["--meter=rapl"], "bad-option", 2, "--meter is 'rapl'. Hint: write --meter=auto, or --meter=counter"),
        (["--pue", "1.2"], "bad-option", 2, "--pue does nothing without --meter. Hint: add --meter"),
        (["--meter", "--pue", "0"], "bad-option", 2, "pue is 0.0; it is the data centre's watts"),
        (["--meter", "--meter-background", "-5"], "bad-option", 2, "background is -5.0; it is seconds, 0 for none."),
        (["--meter", "--intensity", "x"], "usage", 2, "'x' is not a number"),
    ],
)
def test_what_it_refuses(predict, options, kind, code, text) -> None:
    result = predict("--json", *options)
    assert (result.code, result.out) == (code, "")
    error = json.loads(result.err)
    assert error["error"] == kind
    assert text in f"{error['message']} Hint: {error['hint']}"


def test_a_decomposition_keeps_what_it_took(workshop, run, tmp_path: Path) -> None:
    made = run(
        *("decompose", workshop["net.keras"], "--data", workshop["train.npz"], "--rescale", "1/255"),
        *("--as", "me/metered", "--out", tmp_path / "net.modules", "--json", "--meter"),
    )
    assert made.code == 0
    energy = modhub.load(tmp_path / "net.modules").provenance.energy
    assert energy is not None
    assert 0 < energy.kwh < made.document["energy"]["kwh"]
    assert energy.seconds < made.document["energy"]["seconds"]
    modhub.publish(tmp_path / "net.modules", version="1.0.0", registry=str(tmp_path / "registry"))
    shown = run("info", "me/metered", "--registry", tmp_path / "registry")
    assert f"{energy.kwh:.3g} kWh, {energy.co2e_kg:.3g} kg CO2e, decomposed in {energy.seconds:.1f} s" in shown.out
    assert "CPU: estimate: 4 W" in shown.out
    document = run("info", "me/metered", "--registry", tmp_path / "registry", "--json").document
    assert document["provenance"]["energy"]["kwh"] == energy.kwh


def test_energy_is_no_part_of_the_identity_and_needs_a_meter() -> None:
    x, y = origin.images(60, 4)
    model = origin.network()
    joules = iter(np.arange(0, 1e9, 3.6e6))
    counter = Counter("cpu", "recorded", "", lambda: float(next(joules)))
    instruments = Instruments([counter], {"gpu": "none", "dram": "none"})

    def decomposed():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return modhub.decompose(model, x, y, classes=origin.CLASSES, name="me/net", rescale=1 / 255)

    plain = decomposed()
    with Meter(instruments, background=0, pue=2, intensity=0.5):
        metered = decomposed()
    assert plain.provenance.energy is None
    assert "energy" not in write_manifest(plain.package.manifest).decode()
    assert metered.package.manifest.digest == plain.package.manifest.digest
    assert metered.provenance.energy.kwh > 1.99
    assert metered.provenance.energy.co2e_kg == pytest.approx(metered.provenance.energy.kwh / 2)
    assert metered.provenance.energy.source == "CPU: recorded; DRAM: none; GPU: none"
    data = write_manifest(metered.package.manifest)
    assert write_manifest(read_manifest(data, what="x")) == data

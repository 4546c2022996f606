"""Was the network trained on what it is given? The usual scalings of raw images, compared on a few labelled ones.

A network without normalisation answers nearly alike whatever its input is multiplied by, so accuracy tells little. How
sure it is does: trained by cross-entropy, its softmax fits on what it was trained on, and is hundreds of times too sure
on that times 255. So scalings are compared by log-loss, image by image, and by the temperature that the softmax would
need, which is near 1 on what it was trained on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.vote import fit_temperature, margins_of_logits
from modhub.engine.library import keras
from modhub.engine.run.network import Network, is_bgr, preprocess
from modhub.errors import InvalidData
from modhub.limits import MIB
from modhub.package.module import Origin
from modhub.spec.input_contract import ImageContract, InputContract
from modhub.spec.manifest import Accuracy

#: Images that are tried under each scaling, and under each whose loss on the first few is near that of the one given.
TRIED: Final = 200
_SCREENED: Final = 32
_NEAR_SHARE, _NEAR_GAP = 1.1, 0.02
# Images run together: so many of each scaling at most, and no more than so many bytes of them as float32.
_BATCH: Final = 50
_BATCH_BYTES: Final = 8 * MIB
#: Log-loss below which no other scaling could say more, so none is tried.
_SURE: Final = 0.05
#: What another scaling has to reach to be clearly the right one: this share of the log-loss, and so much less at least,
#: in standard errors too; and to be mentioned.
_CLEAR_SHARE, _CLEAR_GAP, _CLEAR_ERRORS = 0.5, 0.1, 4.0
_MENTIONED_ERRORS: Final = 2.0
#: By how much less accurate it may look on so few images.
_SLACK: Final = 0.02
#: A network's softmax fits at temperatures from 1 / _SANE to _SANE on what it was trained on (1.1 to 1.3 for those that
#: were tried); beyond _ABSURD it was not trained on that, where another scaling is sane.
_SANE, _ABSURD = 4.0, 50.0


@dataclass(frozen=True)
class _Scaling:
    """``(x * rescale - mean) / std`` of raw images, by name, of colours in another order where ``is_bgr``."""

    name: str
    rescale: float
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    is_bgr: bool = False

    def contract(self, like: InputContract) -> InputContract:
        """``like`` with this preprocessing."""
        colour = {"colour": "bgr"} if self.is_bgr else {}
        return like.model_copy(update={"rescale": self.rescale, "mean": self.mean, "std": self.std, **colour})

    @property
    def options(self) -> str:
        """What to give, in Python and on the command line."""
        values = {"rescale": _number(self.rescale)}
        values |= {
            name: ",".join(f"{number:g}" for number in numbers)
            for name, numbers in (("mean", self.mean), ("std", self.std))
            if numbers is not None
        }
        python = [f"{name}=({text})" if "," in text else f"{name}={text}" for name, text in values.items()]
        line = [f"--{name} {text}" for name, text in values.items()]
        if self.is_bgr:
            python.append('color="bgr"')
            line.append("--color bgr")
        return f"{', '.join(python)} ({' '.join(line)})"


@dataclass(frozen=True, eq=False)
class _Tried:
    """How a scaling did: log-loss (n,), whether right, bool (n,), the temperature that fits, the size of margins."""

    loss: NDArray[np.float64]
    right: NDArray[np.bool_]
    temperature: float
    margin: float

    @classmethod
    def of(cls, logits: NDArray[np.floating], labels: NDArray[np.integer]) -> _Tried:
        z = np.nan_to_num(logits.astype(np.float64))
        z = z - z.max(axis=1, keepdims=True)
        loss = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(labels)), labels]
        margin = float(margins_of_logits(z).max(axis=1).mean())
        return cls(loss, z.argmax(axis=1) == labels, fit_temperature(z, labels), margin)

    def is_sane(self, bound: float = _SANE) -> bool:
        """Whether its softmax is about as sure as it is right."""
        return 1 / bound <= self.temperature <= bound

    def __str__(self) -> str:
        return f"{self.right.mean():.1%} right (log-loss {self.loss.mean():.2g}, margins of {self.margin:.3g})"


def check_scaling(
    origin: Origin,
    network: Network,
    accuracy: Accuracy,
    images: NDArray[Any],
    labels: NDArray[np.integer],
    logits: NDArray[np.floating],
    *,
    keep_rescale: bool = False,
) -> None:
    """Compare the usual scalings with the one given, on a few raw ``images`` (n, H, W, C) with the origin's ``logits``.

    Raises InvalidData, kind ``near-chance``, where the origin answers near chance: less than a tenth of the way from
    guessing to perfect; and, kind ``wrong-rescale``, where another scaling is clearly the right one, unless
    ``keep_rescale``. Warns where another does better, and where margins are absurdly large.
    """
    images, labels, logits = images[:TRIED], labels[:TRIED], logits[:TRIED]
    given = _Tried.of(logits, labels)
    is_fine = given.loss.mean() <= _SURE and given.is_sane()
    best = None if is_fine else _best(origin, network, images, labels, given)
    _check_above_chance(origin, accuracy, given, best)
    if best is not None and _is_clear(given, best[1]) and not keep_rescale:
        raise InvalidData(
            f"with {_given(origin.contract)} the network answers {given} on {len(labels)} images; with "
            f"{best[0].name} it is {best[1]}. It was trained on the latter, as it seems.",
            kind="wrong-rescale",
            hint=f"give {best[0].options}; or keep what was given: --keep-rescale (keep_rescale=True).",
            given=float(given.loss.mean()),
            other=float(best[1].loss.mean()),
            scaling=best[0].name,
        )
    if best is not None and _is_better(given, best[1]):
        warnings.warn(
            f"with {_given(origin.contract)} the network answers {given} on {len(labels)} images; with "
            f"{best[0].name} it is {best[1]}. Was it trained so? Then give {best[0].options}.",
            stacklevel=3,
        )
    elif not given.is_sane(_ABSURD):
        warnings.warn(
            f"with {_given(origin.contract)} the network's largest margins are {given.margin:.3g} on average, those of "
            "trained networks 5 to 40: are rescale, mean and std those that it was trained with?",
            stacklevel=3,
        )


def _best(
    origin: Origin, network: Network, images: NDArray[Any], labels: NDArray[np.integer], given: _Tried
) -> tuple[_Scaling, _Tried] | None:
    """The other usual scaling of the least log-loss, and how it does; None where none fits about as well as ``given``.

    Of those at which the softmax is sane and that are about as often right.
    """
    near = _near(origin, network, list(_others(origin)), images[:_SCREENED], labels[:_SCREENED], given)
    found = [(scaling, _Tried.of(_logits(origin, network, [scaling], images), labels)) for scaling in near]
    fitting = [
        (scaling, tried)
        for scaling, tried in found
        if tried.is_sane() and tried.right.mean() >= given.right.mean() - _SLACK
    ]
    return min(fitting, key=lambda each: float(each[1].loss.mean()), default=None)


def _near(
    origin: Origin,
    network: Network,
    scalings: Sequence[_Scaling],
    images: NDArray[Any],
    labels: NDArray[np.integer],
    given: _Tried,
) -> list[_Scaling]:
    """The scalings that are about as good as the one given on these few images; others need not be tried on more."""
    if not scalings:
        return []
    most = _NEAR_SHARE * given.loss[: len(labels)].mean() + _NEAR_GAP
    logits = np.split(_logits(origin, network, scalings, images), len(scalings))
    losses = [_Tried.of(each, labels).loss.mean() for each in logits]
    return [scaling for scaling, loss in zip(scalings, losses, strict=True) if loss <= most]


def _logits(
    origin: Origin, network: Network, scalings: Sequence[_Scaling], images: NDArray[Any]
) -> NDArray[np.float32]:
    """The logits of all ``images`` under the first scaling, then under the next, in batches of them together.

    Uncompiled: so few images are not worth a compilation. Memory does not grow with the number of images.
    """
    contracts = [scaling.contract(origin.contract) for scaling in scalings]
    raw_bytes = int(np.prod(images.shape[1:])) * np.dtype(np.float32).itemsize
    size = min(_BATCH * len(scalings), max(1, _BATCH_BYTES // raw_bytes))
    rows = np.arange(len(scalings) * len(images))
    parts = []
    for start in range(0, len(rows), size):
        which, image = np.divmod(rows[start : start + size], len(images))
        prepared = [preprocess(images[image[which == each]], contracts[each]) for each in np.unique(which)]
        parts.append(keras.ops.convert_to_numpy(network.run(keras.ops.concatenate(prepared))))
    features = np.concatenate(parts).astype(np.float32)
    return np.asarray(features @ origin.weights["head/kernel"] + origin.weights["head/bias"])


def _others(origin: Origin) -> Iterator[_Scaling]:
    """The usual scalings of images as wide as the origin's, but for its own."""
    contract = origin.contract
    low, high = contract.value_range
    if not isinstance(contract, ImageContract) or low != 0 or high not in (1.0, 255.0):
        return
    unit = 1 / high
    usual = [
        _Scaling("values as they are", 1.0),
        _Scaling("values from 0 to 255", 255 * unit),
        _Scaling("values from 0 to 1", unit),
        _Scaling("values from -1 to 1", 2 * unit, (1.0,)),
    ]
    if contract.channels == 3:
        usual += [
            _Scaling("torch's scaling", unit, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            _Scaling("caffe's scaling", 255 * unit, (103.939, 116.779, 123.68), is_bgr=True),
        ]
    seen: list[InputContract] = [contract]
    for scaling in usual:
        made = scaling.contract(contract)
        if not any(_same(made, other) for other in seen):
            seen.append(made)
            yield scaling


def _same(one: InputContract, other: InputContract) -> bool:
    """Whether two contracts preprocess alike, one number standing for all channels."""

    def numbers(contract: InputContract) -> NDArray[np.float64]:
        mean, std = contract.mean or (0.0,), contract.std or (1.0,)
        return np.stack(np.broadcast_arrays(contract.rescale, np.resize(mean, 3), np.resize(std, 3)))

    return is_bgr(one) == is_bgr(other) and np.allclose(numbers(one), numbers(other), rtol=1e-2, atol=1e-4)


def _is_clear(given: _Tried, other: _Tried) -> bool:
    loss = given.loss.mean()
    is_enough = other.loss.mean() <= min(_CLEAR_SHARE * loss, loss - _CLEAR_GAP)
    return bool(is_enough and _is_better(given, other, _CLEAR_ERRORS)) or not given.is_sane(_ABSURD)


def _is_better(given: _Tried, other: _Tried, errors: float = _MENTIONED_ERRORS) -> bool:
    """Whether ``other`` is surer of the truth by more than noise."""
    gain = given.loss - other.loss
    return bool(gain.mean() > errors * gain.std() / np.sqrt(len(gain)))


def _check_above_chance(
    origin: Origin, accuracy: Accuracy, given: _Tried, best: tuple[_Scaling, _Tried] | None
) -> None:
    chance = 1 / len(origin.classes)
    if accuracy.top_1 >= chance + 0.1 * (1 - chance):
        return
    other = best is not None and best[1].right.mean() > given.right.mean() + _SLACK
    raise InvalidData(
        f"the model answers {accuracy.top_1:.1%} of the {accuracy.examples} inputs right; chance is {chance:.1%}.",
        kind="near-chance",
        hint=f"{best[0].options} gives {best[1].right.mean():.1%} on {len(given.right)} of them; was it trained so?"
        if best is not None and other
        else "do rescale, mean and std, and the order of classes, match its training?",
        top_1=accuracy.top_1,
        chance=chance,
    )


def _given(contract: InputContract) -> str:
    extra = "".join(f", {name}" for name in ("mean", "std") if getattr(contract, name) is not None)
    return f"rescale={_number(contract.rescale)}{extra}"


def _number(value: float) -> str:
    """``1/255`` or ``1/127.5`` where it is one over such a number."""
    inverse = round(2 / value) / 2 if value else 0.0
    return f"1/{inverse:g}" if inverse > 1 and np.isclose(value, 1 / inverse, rtol=1e-6) else f"{value:g}"

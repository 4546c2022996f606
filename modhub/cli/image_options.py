"""``--fit``, ``--background`` and ``--strict``: how pictures are brought to a classifier."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.data.fitting import Fitting
from modhub.data.given import FITS, Fit
from modhub.data.picture_reader import PictureReader
from modhub.spec.input_contract import ArrayContract

if TYPE_CHECKING:
    from modhub.spec.input_contract import InputContract


@dataclass(frozen=True)
class ImageOptions:
    """The options of one call. A bad file is skipped unless ``strict``."""

    fit: Fit | None = None
    background: str = "white"
    strict: bool = False

    def reader(self, contract: InputContract | None) -> PictureReader:
        """What reads pictures for a classifier; without its ``contract`` they have to fit as they are.

        Raises UsageError for a fit that was named for a classifier of arrays.
        """
        fit: Fit = self.fit or ("none" if isinstance(contract, ArrayContract) else "resize")
        fit = "none" if contract is None else fit
        return PictureReader(Fitting(fit, contract, self.background), strict=self.strict)

    def checked(self) -> ImageOptions:
        """Itself. Raises UsageError for a background that is no colour, before any work."""
        Fitting(background=self.background).background_colour()
        return self


def image_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of an ``ImageOptions``, given to the command as ``pictures``."""
    return _with_options(command, _OPTIONS)


def one_image_options(command: Callable[..., None]) -> Callable[..., None]:
    """As ``image_options`` for a command of one picture, which cannot be skipped."""
    return _with_options(command, _OPTIONS[:2])


def _with_options(command: Callable[..., None], options: Sequence[click.Option]) -> Callable[..., None]:
    @functools.wraps(command)
    def with_pictures(**values: Any) -> None:
        given = {str(option.name): values.pop(str(option.name)) for option in options}
        command(pictures=ImageOptions(**{"strict": True} | given).checked(), **values)

    # Where click's own decorators collect options, last first; a decorator makes new ones from declarations only.
    collected: list[click.Parameter] = getattr(command, "__click_params__", [])
    with_pictures.__click_params__ = [*collected, *reversed(options)]  # type: ignore[attr-defined]
    return with_pictures


def print_account(reader: PictureReader) -> None:
    """Name every picture that was skipped, and say in one line what was done to the others, if anything was."""
    for skipped in reader.skipped:
        printing.warn(f"skipped {skipped.name}: {skipped.error}")
    if text := reader.summary():
        printing.note(text)


_OPTIONS: Sequence[click.Option] = (
    click.Option(
        ["--fit"],
        type=click.Choice(FITS),
        help="Bring pictures of another size to the classifier's: stretched, the middle alone, whole with black bars; "
        "none takes only those that fit.  [default: resize]",
    ),
    click.Option(
        ["--background"],
        default="white",
        show_default=True,
        metavar="COLOUR",
        help="What transparent pictures are composed on: a name or #rrggbb.",
    ),
    click.Option(["--strict"], is_flag=True, help="Stop at a picture that cannot be read, instead of skipping it."),
)

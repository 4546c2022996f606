"""Publish the modules of one decomposition as a release, and withdraw releases from resolution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modhub.installation.registries import publishing_registry
from modhub.settings.config import load_config
from modhub.spec.refs import ModelRef, ModuleRef, check_version, slug_of, withdrawable

if TYPE_CHECKING:
    from modhub.signing.keys import Signer
    from modhub.spec.registry_files import IndexEntry
    from modhub.storage.progress import Progress

from modhub.cards.read import card_file
from modhub.data.forms import as_image_data
from modhub.engine.datasets import load_dataset
from modhub.ops.bundle_file import bundle_in
from modhub.ops.check import Check, CheckResult, check_replacement
from modhub.ops.compose import compose
from modhub.package.decomposition import Decomposition, decomposition_from
from modhub.package.folder import load_package
from modhub.package.readme import with_card
from modhub.registry.publication import folder_files, versioned
from modhub.settings.private_keys import as_signer
from modhub.spec.html import as_html
from modhub.spec.text import find_class, in_short
from modhub.storage.progress import progress_shown, told

#: Warnings that a notebook shows.
_MOST_WARNINGS: Final = 10


@dataclass(frozen=True)
class Release:
    """What ``publish`` gives. ``created`` is False when equal content was there already; sizes in bytes."""

    ref: ModelRef
    digest: str
    registry: str
    created: bool
    classes: tuple[str, ...]
    size: int
    warnings: tuple[str, ...] = ()
    checked: CheckResult | None = None

    def __repr__(self) -> str:
        how = "" if self.created else ", which was there already"
        return f"<Release {self.ref} in {in_short([self.registry])}: {len(self.classes):,} modules{how}>"

    def _repr_html_(self) -> str:
        fields = [
            ("registry", self.registry),
            ("digest", self.digest),
            ("published", "now" if self.created else "equal content was there already"),
            ("size", f"{self.size:,} bytes"),
            ("modules", f"{len(self.classes):,}: {in_short(self.classes)}"),
            *([("check", str(self.checked))] if self.checked else []),
            *(("warning", text) for text in self.warnings[:_MOST_WARNINGS]),
        ]
        return as_html(f"Release {self.ref}", fields)


def publish(
    decomposition_or_folder: Decomposition | str | Path,
    *,
    version: str | None = None,
    registry: str | None = None,
    sign: str | Signer | None = None,
    check: Check | None = None,
    card: str | Path | None = None,
    model_signature: str | Path | None = None,
    progress: Progress | None = None,
) -> Release:
    """Publish all modules of one decomposition as an immutable release.

    Without ``version``, equal content gives the release that exists, else the next minor version is taken. Publishing
    equal content again changes nothing. ``sign`` names one of the user's keys, or is one. ``check`` refuses a release
    whose recall of a class falls, see ``Check``. ``card`` names a README with YAML front matter as on the Hugging Face
    Hub: licence, description and so on become part of the release. ``model_signature`` names the signature that
    OpenSSF's ``model_signing`` made of the folder; it is kept beside the release. ``progress`` is called with what,
    bytes done and in all. Raises Conflict when the version has other content, and kind ``recall-fell``; UsageError,
    kind ``bad-card``; IntegrityError, kind ``other-files``.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> release = modhub.publish(stripes, version="1.0.0", registry="team")
    >>> str(release.ref), release.created
    ('me/stripes@1.0.0', True)
    >>> modhub.compose("me/stripes:left", registry="team").classes
    ['left']
    """
    if version is not None:
        check_version(version)
    signer = as_signer(sign)
    given = None if card is None else card_file(card)
    if isinstance(decomposition_or_folder, (str, Path)):
        package = load_package(Path(decomposition_or_folder))
        # A folder may come from anywhere: what does not decode and fit its architecture is never published.
        decomposition = decomposition_from(package.manifest, lambda _, record: package.blobs[record.sha256])
    else:
        decomposition, package = decomposition_or_folder, decomposition_or_folder.package
    if given is not None:
        package = with_card(package, given)
    bundle = None if model_signature is None else bundle_in(model_signature)
    if bundle is not None:
        bundle.require_files(folder_files(package.manifest), f"the folder of {package.manifest.content.name}")

    target = publishing_registry(registry, load_config())
    checked = None
    if check is not None:
        data = as_image_data(check.data, split="test", steps=check.steps, datasets=load_dataset)
        with progress_shown():
            checked = check_replacement(decomposition, version, target, check, data, compose)
    with progress_shown():
        progress = progress or told("bytes")
        if version is None:
            published = target.publish_next(package.manifest, package.blobs, signer=signer, progress=progress)
        else:
            manifest = versioned(package.manifest, version)
            published = target.publish(manifest, package.blobs, signer=signer, progress=progress)
    if bundle is not None:
        target.add_bundle(published.ref, bundle)
    return Release(
        ref=published.ref,
        digest=published.digest,
        registry=published.registry,
        created=published.created,
        classes=tuple(module.name for module in package.manifest.content.modules),
        size=sum(blob.size for blob in package.manifest.blobs.values()),
        warnings=published.warnings,
        checked=checked,
    )


def yank(
    ref: str, reason: str, *, undo: bool = False, registry: str | None = None, sign: str | Signer | None = None
) -> bool:
    """Let names and ranges skip the release ``namespace/model@version``, or one class of it,
    ``namespace/model:class@version``; with ``undo``, let them find it again.

    Its exact version, and lockfiles, still install it, with a warning. False when it was so already. Raises NotFound,
    UsageError.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> release = modhub.publish(stripes, version="1.0.0", registry="team")
    >>> modhub.yank("me/stripes:left@1.0.0", "answers right", registry="team")
    True
    >>> [pin.ref.cls for pin in modhub.install("me/stripes", registry="team")]
    ['middle', 'right']
    >>> modhub.yank("me/stripes@1.0.0", "trained on the wrong images", registry="team")
    True
    """
    named, signer = withdrawable(ref), as_signer(sign)
    target = publishing_registry(registry, load_config())
    if isinstance(named, ModelRef):
        return target.yank(named, reason, undo=undo, signer=signer)
    namespace, _, model = named.base.partition("/")
    release = ModelRef(namespace, model, str(named.version))
    slug = _slug(str(named.cls), target.summary(release))
    return target.yank_class(ModuleRef(namespace, model, slug, release.version), reason, undo=undo, signer=signer)


def _slug(cls: str, release: IndexEntry) -> str:
    """The slug of a class that was named by it or as the data set spells it; ``cls`` itself when there is none."""
    if cls in release.slugs:
        return cls
    found = find_class(cls, release.classes)
    return slug_of(cls) if found is None else release.slugs[release.classes.index(found)]

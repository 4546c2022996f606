"""``POST /predict``: pictures in whatever form a client has them, answered as ``modhub predict --format json`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modhub.composition.ranking import ranked_rows
from modhub.data.arrays import Images
from modhub.data.picture_reader import PictureReader
from modhub.errors import InvalidData, UsageError, plain, shown
from modhub.limits import KIB
from modhub.serving.guard import body_too_large
from modhub.serving.library import HTTPException, JSONResponse, Request, UploadFile
from modhub.serving.pictures import images_in_json, json_of, pictures_of

if TYPE_CHECKING:
    from modhub.composition.votes import Prediction
    from modhub.serving.served import ServedClassifier
    from modhub.serving.service import Service

#: What a body is taken as a picture under: curl sends the last by itself.
_RAW: Final = ("", "application/octet-stream", "application/x-www-form-urlencoded")
_DECIMALS: Final = 6
_DIGITS: Final = 9
#: Fields of a form that are no files, and bytes of one.
_FIELDS: Final = 20
_FIELD_BYTES: Final = 64 * KIB


async def predict(request: Request) -> JSONResponse:
    """The answers for the pictures of one request, in its order."""
    service: Service = request.app.state.service
    async with service.room_for_request():
        classifier = service.classifier
        top = _top(request, len(classifier.classes))
        reader = service.picture_reader(classifier)
        images, names = await _images(request, service, reader)
        prediction = await service.answer(classifier, images)
    return JSONResponse(_document(classifier, prediction, names, top, reader))


async def _images(request: Request, service: Service, reader: PictureReader) -> tuple[Images, list[str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limits = service.limits
    if kind == "multipart/form-data":
        files = await _files(request, service)
    elif kind == "application/json":
        body = await request.body()
        if len(body) > limits.json_body:
            raise body_too_large(limits.json_body)
        bounds = service.picture_bounds()
        images = await service.in_reader(lambda: images_in_json(json_of(body), reader, bounds, limits.images))
        return images, [f"image {number}" for number in range(len(images))]
    elif kind.startswith("image/") or kind in _RAW:
        body = await request.body()
        files = [("the body", body)] if body else []
    else:
        raise UsageError(
            f"the content type {shown(kind)} is not taken.",
            kind="bad-media-type",
            hint="send image/*, multipart/form-data, application/json or application/octet-stream.",
        )
    service.check_count(len(files))
    images = await service.in_reader(lambda: pictures_of(files, reader, service.picture_bounds()))
    return images, [name for name, _ in files]


async def _files(request: Request, service: Service) -> list[tuple[str, bytes]]:
    """All files of a form, whatever their fields are called."""
    most = service.limits.images
    try:
        async with request.form(max_files=most + 1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES) as form:
            uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            service.check_count(len(uploads))
            return [
                (plain(each.filename or "") or f"file {number}", await each.read())
                for number, each in enumerate(uploads)
            ]
    except UnicodeError:
        raise InvalidData(
            "the form's text is not of the encoding that it says.", kind="bad-form", hint="send the form in UTF-8."
        ) from None
    except HTTPException as error:
        if error.detail.startswith("Too many files"):
            service.check_count(most + 1)
        raise InvalidData(
            f"the form cannot be read: {plain(error.detail)}", kind="bad-form", hint="send the pictures as files."
        ) from None


def _top(request: Request, classes: int) -> int:
    text = request.query_params.get("top", "1")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and 1 <= int(text) <= classes):
        raise UsageError(
            f"top is {shown(text)}, and the classifier has {classes} classes.",
            kind="bad-option",
            hint=f"ask for 1 to {classes}.",
        )
    return int(text)


def _document(
    classifier: ServedClassifier, prediction: Prediction, names: list[str], top: int, reader: PictureReader
) -> dict[str, Any]:
    """``probabilities`` and ``margins`` of every class, in the order of ``classes``; ``top`` has the best ones."""
    shares = prediction.probabilities.astype(float).round(_DECIMALS).tolist()
    margins = prediction.margins.astype(float).round(_DECIMALS).tolist()
    rows = [
        row | {"probabilities": share, "margins": margin}
        for row, share, margin in zip(ranked_rows(prediction, names, top), shares, margins, strict=True)
    ]
    return {
        "model": {"name": classifier.name, "version": classifier.version},
        "classes": list(prediction.classes),
        "reject": prediction.reject,
        "images": rows,
        "pictures": reader.to_dict(),
    }

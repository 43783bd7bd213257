"""The choice of images, for all pages that answer for some: files, a folder as zip, the camera, examples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

import cnnapp
from cnnapp.prediction import uploads
from pipelines.artifacts.golden import read_golden
from pipelines.images import image_io
from ui.components import queued, visit

__all__ = ["choose", "draw_picture", "examples", "picture"]

_FILES, _EXAMPLES, _CAMERA = "Files", "Examples", "Camera"
_TYPES = [*sorted(extension.removeprefix(".") for extension in image_io.EXTENSIONS), "zip"]
_UNPACKED = "unpacked uploads"
_SMALL_ZIP = 2**20


def choose(models: Sequence[cnnapp.Predictor], further: Sequence[str] = ()) -> tuple[str, list[tuple[str, bytes]]]:
    """Ask where images come from, and for them.

    Args:
        models: whose examples are offered.
        further: other places to take images from, which the caller reads.

    Returns:
        The place, and the images: (name, bytes), every name another.
    """
    help_text = "The camera is only asked for when it is chosen."
    places = [_FILES, _EXAMPLES, _CAMERA, *further]
    place = st.segmented_control(
        "Image source", places, default=_FILES, required=True, key="place", help=help_text, persist_state="session"
    )
    if place == _EXAMPLES:
        return place, _choose_examples(models)
    if place == _CAMERA:
        photo = st.camera_input("Photograph", help=visit.notice(), key=f"photograph {visit.current().number}")
        if photo is None:
            return place, []
        visit.uses([photo])
        return place, [("photograph.jpg", photo.getvalue())]
    if place == _FILES:
        return place, _upload()
    return place or _FILES, []


def _upload() -> list[tuple[str, bytes]]:
    session = visit.current()
    files = st.file_uploader(
        "Images, or folders as zip",
        type=_TYPES,
        accept_multiple_files=True,
        help="Zip files may hold nested folders; other files are skipped.",
        key=f"files {session.number}",
    )
    st.caption(visit.notice())
    if not files:
        st.session_state.pop(_UNPACKED, None)
        return []
    ids = tuple(file.file_id for file in files)
    kept = st.session_state.get(_UNPACKED)
    if kept is None or kept[0] != ids:
        # Unpacking is done once, not whenever a slider is moved.
        st.session_state.pop(_UNPACKED, None)
        given = [(file.name, file.getvalue()) for file in files]
        room = max(1, session.memory.room + session.memory.held - sum(file.size for file in files))
        limits = replace(uploads.Limits(), total_bytes=min(uploads.Limits().total_bytes, room))
        found = queued.run("Unpacking the files", lambda: uploads.gather(given, limits), _is_light(given))
        kept = st.session_state[_UNPACKED] = (ids, found)
    unpacked = _unpacked(kept[1], [file.getvalue() for file in files])
    refused = visit.too_much(unpacked + sum(file.size for file in files))
    if refused is not None:
        st.session_state.pop(_UNPACKED)
        st.error(refused, icon=":material/memory:")
        visit.uses(files)
        return []
    visit.uses(files, unpacked)
    for note in kept[1].notes:
        st.warning(note, icon=":material/folder_zip:")
    return list(kept[1].images)


def _is_light(files: Sequence[tuple[str, bytes]]) -> bool:
    """Return whether files are unpacked in a moment: those that are images are taken as they are."""
    return sum(len(data) for name, data in files if name.lower().endswith(".zip")) <= _SMALL_ZIP


def _unpacked(found: uploads.Uploaded, given: Sequence[bytes]) -> int:
    """Return the bytes of images that came out of a zip, besides the files themselves."""
    same = {id(data) for data in given}
    return sum(len(data) for _, data in found.images if id(data) not in same)


def examples(model: cnnapp.Predictor) -> dict[str, tuple[str, bytes]]:
    """Return the images that a model was shipped with, (name, bytes), each by a label of its own."""
    try:
        golden = read_golden(model.served.directory)
    except cnnapp.ModelError as error:
        st.error(str(error))
        return {}
    labels = [f"example {number}" for number in range(1, len(golden.names) + 1)]
    named = golden.outputs.get("class_names")
    if named is not None and named.ndim == 1:  # one class for each image
        classes = [str(name) for name in named]
        seen = [classes[: index + 1].count(each) for index, each in enumerate(classes)]
        labels = [f"{each} ({count})" if count > 1 else each for each, count in zip(classes, seen, strict=True)]
    return dict(zip(labels, zip(golden.names, golden.inputs, strict=True), strict=True))


def _choose_examples(models: Sequence[cnnapp.Predictor]) -> list[tuple[str, bytes]]:
    offered: dict[str, tuple[str, bytes]] = {}
    for model in models:
        prefix = f"{model.card.name} " if len(models) > 1 else ""
        for label, (name, data) in examples(model).items():
            offered.setdefault(f"{prefix}{label}", (f"{prefix}{name}", data))
    chosen = st.pills(
        "Examples",
        list(offered),
        selection_mode="multi",
        key="examples " + " ".join(model.card.name for model in models),
        help="Images that the model was shipped with; several may be chosen.",
    )
    return [offered[label] for label in chosen]


def picture(data: bytes) -> bytes:
    """Return what the browser shows: upright, and enlarged by whole pixels where it is tiny."""
    key = ("picture", hashlib.sha256(data).hexdigest())
    return queued.kept(key, "Drawing the image", lambda: draw_picture(data), queued.is_light(data), queued.DRAWING)


def draw_picture(data: bytes) -> bytes:
    """Return the same as :func:`picture`, drawn anew."""
    found = image_io.open_rgb(data, max_side=640)
    factor = max(1, 240 // max(found.size))
    return image_io.encode(found.resize((found.width * factor, found.height * factor), resample=0))

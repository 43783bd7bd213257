"""The page that shows why: evidence over the image, filters, feature maps, and what the network sees at a point."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass

import streamlit as st
from PIL import Image

import cnnapp
from cnnapp.explain.decisions import Decision, decide
from cnnapp.explain.downscale import Reduced, quick
from cnnapp.explain.evidence import Explanation, telling_place
from cnnapp.explain.feature_maps import FeatureMaps
from cnnapp.explain.heatmap import fitted, stretched
from cnnapp.explain.inspector import Unit
from cnnapp.explain.network_input import Shown
from cnnapp.explain.receptive_view import draw_boxes
from pipelines.core.percent import percent
from pipelines.images import image_io
from ui.components import image_picker, model_picker, queued, url_state, visit
from ui.components.clickable_image import clickable
from ui.components.panel import drawing
from ui.components.panels import find_panel

__all__ = ["page"]

_TYPES = sorted(extension.removeprefix(".") for extension in image_io.EXTENSIONS)
_LARGEST = 1600
"""The longest side of what is sent to the browser, in pixels."""
_ANSWER = "Predicted class"
_FORMERLY = "What it sees"
"""The view of receptive fields, in addresses that were kept."""
_POINT, _IMAGE = "explain point", "explain image"


def page() -> None:
    """Choose a model and an image, and look at why it is answered as it is."""
    st.title("Why this answer?")
    model = model_picker.choose()
    if model is None:
        return
    image = _choose_image(model)
    if image is None:
        st.info("Upload an image, or take an example.", icon=":material/upload:")
        return
    views = {
        "Evidence": _show_evidence,
        "Filters": _show_filters,
        "Feature maps": _show_maps,
        "Receptive field": _show_sight,
    }
    if st.query_params.get("view") == _FORMERLY:
        st.query_params["view"] = "Receptive field"
    first = "Feature maps" if "layer" in st.query_params else "Evidence"
    evidence = find_panel(model.card.task).evidence

    def spoken(each: str) -> str:
        return evidence if each == "Evidence" else each

    url_state.begin("view", list(views), first, "explain view", spoken)
    view = st.segmented_control("View", list(views), key="explain view", format_func=spoken) or first
    url_state.keep("view", view)
    try:
        name, data = image
        looked_at = _quick(model, name, data)
        if looked_at:
            st.caption(f"{name} is large: {looked_at}. What follows is about the smaller image.")
        views[view](model, name, looked_at.data)
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")


def _choose_image(model: cnnapp.Predictor) -> tuple[str, bytes] | None:
    """Return name and bytes of the image: the first example, as long as nothing else is chosen."""
    uploaded = st.file_uploader(
        "Image", type=_TYPES, help=visit.notice(), key=f"explained file {visit.current().number}"
    )
    if uploaded is not None:
        visit.uses([uploaded])
        return uploaded.name, uploaded.getvalue()
    offered = image_picker.examples(model)
    names = list(offered)
    chosen = st.pills("Or an example", names, default=next(iter(names), None),
                      key=f"explain example {model.served.directory}")  # fmt: skip
    return None if chosen is None else offered[chosen]


def _choose_class(model: cnnapp.Predictor) -> str | None:
    """Return the name of the class to look at, None for that of the answer."""
    options = ["", *model.card.classes]
    url_state.begin("class", options, "", "explain class", _spoken)
    chosen = st.selectbox("Class", options, key="explain class", format_func=_spoken)
    url_state.keep("class", chosen)
    return chosen or None


def _spoken(class_name: str) -> str:
    return class_name or _ANSWER


def _show_evidence(model: cnnapp.Predictor, name: str, data: bytes) -> None:
    left, right = st.columns(2)
    with left:
        class_name = _choose_class(model)
    opacity = right.slider("Opacity", 0.0, 1.0, 0.6, 0.05, help="Of the colours over the image.")
    found = _explanation(model, name, data, class_name)
    what = find_panel(model.card.task).evidence
    st.subheader(f"{found.class_name} · {percent(found.score, 1)}")
    left, right = st.columns(2)
    overlay = drawing(data, lambda: stretched(found.draw(data, opacity, largest=_LARGEST)))
    left.image(
        overlay,
        caption=f"{what.lower()} for {found.class_name}: {found.how}",
        width="stretch",
        alt=f"{what.lower()} over the image: {found}",
    )
    right.image(_picture(data), caption=name, width="stretch", alt=name)
    st.markdown(found.meaning)


def _show_filters(model: cnnapp.Predictor, name: str, data: bytes) -> None:
    filters = model.inside.filters()
    maps = _maps(model, name, data, filters.layer)
    left, right = st.columns(2)
    meaning = "the colour it answers most to; grey is 0" if filters.kernel.shape[2] == 3 else (
        "vermilion adds, blue takes away, white is 0"
    )  # fmt: skip
    sheets = filters.draw(columns=4, width=480, square=True), maps.draw(filters.layer, 4, 480, square=True)
    captions = (
        f"the {len(filters)} filters of the first convolution: {meaning}",
        f"what each of them gives on {name}: dark is its least, bright its most",
    )
    for place, sheet, caption in zip((left, right), sheets, captions, strict=True):
        place.image(sheet, caption=caption, width="stretch", alt=caption)
    st.markdown(
        "The first convolution lays each filter on every place of the image, multiplies and adds up. Where the image "
        "looks like the filter its map is bright. The numbers are the same on both sides."
    )


def _show_maps(model: cnnapp.Predictor, name: str, data: bytes) -> None:
    layer = _choose_layer(model, model.inside.sizes(_shown(model, name, data)))
    caption = f"the maps of {layer} for {name}, each from its least (dark) to its most (bright)"
    st.image(_maps(model, name, data, layer).draw(layer), caption=caption, width="stretch", alt=caption)
    st.markdown(
        "Each map shows where something was found, of a kind that training chose and nobody named. Early layers find "
        "edges and spots, later ones larger parts, on coarser maps. Each has a scale of its own: brightness cannot be "
        "compared from map to map."
    )


def _choose_layer(model: cnnapp.Predictor, sizes: dict[str, tuple[int, int, int]]) -> str:
    layers = list(sizes)
    url_state.begin("layer", layers, model.inside.first_convolution or layers[0], "explain layer")
    layer = st.selectbox(
        "Layer",
        layers,
        key="explain layer",
        format_func=lambda each: f"{each}  ({' × '.join(map(str, sizes[each]))})",
        help="In the order in which they run; rows, columns and channels.",
    )
    url_state.keep("layer", layer)
    return layer


def _show_sight(model: cnnapp.Predictor, name: str, data: bytes) -> None:
    inside = model.inside
    shown = _shown(model, name, data)
    height, width = shown.size
    # Another widget than that of the maps, which Streamlit keeps apart: the address hands the layer on.
    url_state.begin("layer", inside.layers, inside.layers[-1], "explain sight")
    layer = st.select_slider(
        "Layer", inside.layers, key="explain sight", help="From the first to the last: receptive fields grow."
    )
    url_state.keep("layer", layer)
    _begin_point(model, name, data, shown)
    left, right = st.columns(2)
    with left:
        place = st.container()
        columns = st.columns(2)
        x = columns[0].number_input("x", 0, width - 1, key="explain x", help="Pixels from the left.")
        y = columns[1].number_input("y", 0, height - 1, key="explain y", help="Pixels from the top.")
    st.session_state[_POINT] = (x, y)
    point = (x + 0.5, y + 0.5)
    st.subheader("Prediction at this point")
    class_name = _choose_class(model)
    seen = _sight(model, name, data, layer, point, class_name)
    with place:
        clickable(seen.boxes, shown.size, f"{name}, to click on; x and y say the same", "explain picture", _click)
        st.caption(
            f"Click on the image. Yellow: the receptive field of the unit of {layer} nearest to the cross. Blue: those "
            "of the layers before it."
        )
    with right:
        caption = _sight_caption(seen.unit)
        st.image(seen.of_unit, caption=caption, width="stretch", alt=caption)
    _show_decision(model, seen)


def _begin_point(model: cnnapp.Predictor, name: str, data: bytes, shown: Shown) -> None:
    """Begin where an image has most evidence for its answer; keep the point as long as the image is the same."""
    seen = (name, hash(data))
    if st.session_state.get(_IMAGE) != seen:
        st.session_state[_IMAGE] = seen
        st.session_state[_POINT] = _best(model, name, data, shown.size)
        st.session_state.pop("explain x", None)
        st.session_state.pop("explain y", None)
    for key, place in zip(("explain x", "explain y"), st.session_state[_POINT], strict=True):
        st.session_state.setdefault(key, place)


def _click(x: int, y: int) -> None:
    st.session_state["explain x"], st.session_state["explain y"] = x, y


def _sight_caption(unit: Unit) -> str:
    left, top, right, bottom = unit.sight.box
    row, column = unit.position
    sees = f"The unit in row {row}, column {column} sees {right - left:.0f} × {bottom - top:.0f} pixels"
    share = unit.sight.share()
    if not share:
        return f"{sees}; it is silent here, so nothing nearby changes it."
    return f"{sees}; in effect 90 % of what moves it comes from {percent(share, 0)} of them (coloured)."


def _show_decision(model: cnnapp.Predictor, seen: _Sight) -> None:
    found = seen.decision
    left, right = st.columns(2, vertical_alignment="center")
    caption = f"pixels that influence the prediction of {found.class_name}"
    left.image(seen.of_decision, caption=caption, width="stretch", alt=f"{caption}, at {found.what}")
    right.markdown(f"**{found.class_name} · {percent(found.score, 1)}**: {found.what}")
    for label, score in found.top():
        right.progress(score, f"{label}  {percent(score, 1)}")
    right.caption(find_panel(model.card.task).decision)


# === What is computed, once for an image and a session ===


@dataclass(frozen=True)
class _Sight:
    """What is seen at a point, and the pictures of it.

    Args:
        unit: of a layer.
        decision: of the network.
        boxes: the receptive fields over the image.
        of_unit: what the unit depends on.
        of_decision: what the decision depends on.
    """

    unit: Unit
    decision: Decision
    boxes: Image.Image
    of_unit: Image.Image
    of_decision: Image.Image


def _key(what: str, model: cnnapp.Predictor, name: str, data: bytes, *more: Hashable) -> tuple[Hashable, ...]:
    return what, str(model.served.directory), model.card.created, name, hashlib.sha256(data).hexdigest(), *more


def _picture(data: bytes) -> bytes:
    def draw() -> bytes:
        return image_io.encode(stretched(fitted(image_io.open_rgb(data), 960, _LARGEST)))

    key = ("explain picture", hashlib.sha256(data).hexdigest())
    return queued.kept(key, "Drawing the image", draw, queued.is_light(data))


def _explanation(model: cnnapp.Predictor, name: str, data: bytes, class_name: str | None) -> Explanation:
    key = _key("explanation", model, name, data, class_name)
    return queued.kept(key, "Looking for evidence", lambda: model.explain(data, class_name, name=name))


def _quick(model: cnnapp.Predictor, name: str, data: bytes) -> Reduced:
    light = queued.is_light(data)
    return queued.kept(
        _key("reduced", model, name, data), "Opening the image", lambda: quick(model.inside, data, name), light
    )


def _maps(model: cnnapp.Predictor, name: str, data: bytes, layer: str) -> FeatureMaps:
    shown = _shown(model, name, data)
    key = _key("maps", model, name, data, layer)
    return queued.kept(key, "Computing the maps", lambda: model.inside.maps_of(shown, layer, name))


def _best(model: cnnapp.Predictor, name: str, data: bytes, size: tuple[int, int]) -> tuple[int, int]:
    key = _key("best", model, name, data)
    return queued.kept(key, "Looking for evidence", lambda: telling_place(model.served, data, name, size))


def _shown(model: cnnapp.Predictor, name: str, data: bytes) -> Shown:
    key = _key("shown", model, name, data)
    return queued.kept(key, "Opening the image", lambda: model.inside.shown(data, name), queued.is_light(data))


def _sight(
    model: cnnapp.Predictor, name: str, data: bytes, layer: str, point: tuple[float, float], class_name: str | None
) -> _Sight:
    shown, inside, memory = _shown(model, name, data), model.inside, visit.current().memory
    unit_key = _key("unit", model, name, data, layer, point)

    def look() -> _Sight:
        boxes = inside.growth(shown, *point)
        earlier = list(boxes.values())[: inside.layers.index(layer)]
        unit = memory.get(unit_key) or inside.unit(shown, layer, inside.nearest(shown, layer, *point))
        memory.keep(unit_key, unit)
        decision = decide(inside, shown, *point, class_name)
        return _Sight(
            unit,
            decision,
            draw_boxes(data, earlier, boxes[layer], point, largest=_LARGEST),
            stretched(unit.sight.draw(data, point=point, largest=_LARGEST)),
            stretched(decision.sight.draw(data, point=point, largest=_LARGEST)),
        )

    key = _key("sight", model, name, data, layer, point, class_name)
    return queued.kept(key, "Looking at what the network sees", look)

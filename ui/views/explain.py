"""The page that shows why: evidence over the image, filters, feature maps, and what the network sees at a point."""

from __future__ import annotations

import streamlit as st

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
from ui.components import image_picker, model_picker, url_state
from ui.components.clickable_image import clickable
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
        looked_at = _quick(model, str(model.served.directory), name, data)
        if looked_at:
            st.caption(f"{name} is large: {looked_at}. What follows is about the smaller image.")
        views[view](model, name, looked_at.data)
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")


def _choose_image(model: cnnapp.Predictor) -> tuple[str, bytes] | None:
    """Return name and bytes of the image: the first example, as long as nothing else is chosen."""
    uploaded = st.file_uploader("Image", type=_TYPES)
    if uploaded is not None:
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
    found = _explanation(model, str(model.served.directory), name, data, class_name)
    what = find_panel(model.card.task).evidence
    st.subheader(f"{found.class_name} · {percent(found.score, 1)}")
    left, right = st.columns(2)
    left.image(
        stretched(found.draw(data, opacity, largest=_LARGEST)),
        caption=f"{what.lower()} for {found.class_name}: {found.how}",
        width="stretch",
        alt=f"{what.lower()} over the image: {found}",
    )
    right.image(_picture(data), caption=name, width="stretch", alt=name)
    st.markdown(found.meaning)


def _show_filters(model: cnnapp.Predictor, name: str, data: bytes) -> None:
    filters = model.inside.filters()
    maps = _maps(model, str(model.served.directory), name, data, filters.layer)
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
    inside, key = model.inside, str(model.served.directory)
    layer = _choose_layer(model, inside.sizes(_shown(model, key, name, data)))
    caption = f"the maps of {layer} for {name}, each from its least (dark) to its most (bright)"
    st.image(_maps(model, key, name, data, layer).draw(layer), caption=caption, width="stretch", alt=caption)
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
    key = str(model.served.directory)
    shown = _shown(model, key, name, data)
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
    boxes = inside.growth(shown, *point)
    earlier = list(boxes.values())[: inside.layers.index(layer)]
    unit = _unit(model, key, name, data, layer, *point)
    with place:
        picture = draw_boxes(data, earlier, boxes[layer], point, largest=_LARGEST)
        clickable(picture, shown.size, f"{name}, to click on; x and y say the same", "explain picture", _click)
        st.caption(
            f"Click on the image. Yellow: the receptive field of the unit of {layer} nearest to the cross. Blue: those "
            "of the layers before it."
        )
    with right:
        caption = _sight_caption(unit)
        picture = stretched(unit.sight.draw(data, point=point, largest=_LARGEST))
        st.image(picture, caption=caption, width="stretch", alt=caption)
    _show_decision(model, name, data, point)


def _begin_point(model: cnnapp.Predictor, name: str, data: bytes, shown: Shown) -> None:
    """Begin where an image has most evidence for its answer; keep the point as long as the image is the same."""
    seen = (name, hash(data))
    if st.session_state.get(_IMAGE) != seen:
        st.session_state[_IMAGE] = seen
        st.session_state[_POINT] = _best(model, str(model.served.directory), name, data, shown.size)
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


def _show_decision(model: cnnapp.Predictor, name: str, data: bytes, point: tuple[float, float]) -> None:
    st.subheader("Prediction at this point")
    class_name = _choose_class(model)
    found = _decision(model, str(model.served.directory), name, data, *point, class_name)
    left, right = st.columns(2, vertical_alignment="center")
    caption = f"pixels that influence the prediction of {found.class_name}"
    picture = stretched(found.sight.draw(data, point=point, largest=_LARGEST))
    left.image(picture, caption=caption, width="stretch", alt=f"{caption}, at {found.what}")
    right.markdown(f"**{found.class_name} · {percent(found.score, 1)}**: {found.what}")
    for label, score in found.top():
        right.progress(score, f"{label}  {percent(score, 1)}")
    right.caption(find_panel(model.card.task).decision)


@st.cache_data(max_entries=64, show_spinner=False)
def _picture(data: bytes) -> bytes:
    return image_io.encode(stretched(fitted(image_io.open_rgb(data), 960, _LARGEST)))


@st.cache_resource(show_spinner="Looking for evidence", max_entries=16)
def _explanation(
    _model: cnnapp.Predictor, directory: str, name: str, data: bytes, class_name: str | None
) -> Explanation:
    return _model.explain(data, class_name, name=name)


@st.cache_resource(show_spinner="Opening the image", max_entries=8)
def _quick(_model: cnnapp.Predictor, directory: str, name: str, data: bytes) -> Reduced:
    return quick(_model.inside, data, name)


@st.cache_resource(show_spinner="Computing the maps", max_entries=4)
def _maps(_model: cnnapp.Predictor, directory: str, name: str, data: bytes, layer: str) -> FeatureMaps:
    return _model.inside.maps_of(_shown(_model, directory, name, data), layer, name)


@st.cache_data(max_entries=64, show_spinner=False)
def _best(_model: cnnapp.Predictor, directory: str, name: str, data: bytes, size: tuple[int, int]) -> tuple[int, int]:
    return telling_place(_model.served, data, name, size)


@st.cache_resource(show_spinner=False, max_entries=8)
def _shown(_model: cnnapp.Predictor, directory: str, name: str, data: bytes) -> Shown:
    return _model.inside.shown(data, name)


@st.cache_resource(show_spinner=False, max_entries=32)
def _unit(_model: cnnapp.Predictor, directory: str, name: str, data: bytes, layer: str, x: float, y: float) -> Unit:
    shown = _shown(_model, directory, name, data)
    return _model.inside.unit(shown, layer, _model.inside.nearest(shown, layer, x, y))


@st.cache_resource(show_spinner=False, max_entries=32)
def _decision(
    _model: cnnapp.Predictor, directory: str, name: str, data: bytes, x: float, y: float, class_name: str | None
) -> Decision:
    return decide(_model.inside, _shown(_model, directory, name, data), x, y, class_name)

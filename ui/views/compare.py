"""The page where two models answer for the same images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import streamlit as st

import cnnapp
from cnnapp.prediction.prediction_cache import Answered, AnswerStore
from cnnapp.prediction.uploads import label_of
from cnnapp.reports import comparison
from cnnapp.reports.labelled_samples import LABELLED, labelled_images
from cnnapp.reports.training_command import another_command
from cnnapp.results.answer import Difference
from pipelines.artifacts.model_card import ModelCard
from pipelines.core.percent import percent
from ui.components import image_picker, model_picker, queued, url_state, visit
from ui.components.panels import find_panel

__all__ = ["page"]

_PER_PAGE = 8
_STORES = ("answers of the first", "answers of the second")


def page() -> None:
    """Choose two models and images, see where they differ."""
    st.title("Where do two models differ?")
    first = model_picker.choose()
    second = None if first is None else _choose_second(first.card)
    if first is None or second is None:
        return
    try:
        shared = comparison.common_classes(first.card, second.card)
    except cnnapp.CnnAppError as error:
        st.warning(str(error), icon=":material/compare:")
        return
    different = set(first.card.classes) ^ set(second.card.classes)
    if different:
        st.caption(f"Only {len(shared)} classes are known to both; only one knows {', '.join(sorted(different)[:12])}.")
    further = [name for name in LABELLED if labelled_images(name, shared, first.card.task) is not None]
    place, given = image_picker.choose([first, second], further)
    labels = {name: label_of(name, first.card.classes) for name, _ in given}
    if place in further:
        found = labelled_images(place, shared, first.card.task) or []
        given, labels = [(name, data) for name, data, _ in found], {name: label for name, _, label in found}
        st.caption("These images have labels. Of models trained on them they are test images only with the same seed.")
    if not given:
        st.info("Upload images, or take examples. A zip with a folder per class also tells who is right.")
        return
    _show_all(first, second, given, labels)


def _choose_second(card: ModelCard) -> cnnapp.Predictor | None:
    own = _name(card)
    names = [name for name in model_picker.offered(lambda other: comparison.comparable(card, other)) if name != own]
    if not names:
        st.query_params.pop("with", None)
        st.info(
            f"No other model for {card.task} knows classes of {own}. Train another on the same classes, for example "
            f"`{another_command(card)}`, or choose another above.",
            icon=":material/compare:",
        )
        return None
    key = f"compared with {own}"
    if st.session_state.get(key) not in names:
        wanted = st.query_params.get("with", "")
        found = url_state.nearest(wanted, names)
        st.session_state[key] = found or names[0]
        if url_state.newly("with") and wanted not in (found, str(found).split("/")[0]):
            url_state.missing(f"model {wanted} to compare {own} with", found or names[0], key)
    url_state.say(key)
    name = st.selectbox(
        "Compare with", names, key=key, help="Another model of the same task, with classes that both know."
    )
    url_state.keep("with", name)
    return model_picker.load(name)


def _show_all(
    first: cnnapp.Predictor,
    second: cnnapp.Predictor,
    given: Sequence[tuple[str, bytes]],
    labels: dict[str, str | None],
) -> None:
    try:
        differences, failures = _compare(first, second, given)
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")
        return
    for failure in failures:
        st.error(failure, icon=":material/broken_image:")
    if not differences:
        return
    _summary(differences, labels, first, second)
    ordered = comparison.ranked(differences)
    pages = -(-len(ordered) // _PER_PAGE)
    number = st.pagination(pages, key=f"page of {len(ordered)}") if pages > 1 else 1
    data, panel = dict(given), find_panel(first.card.task)
    for each in ordered[(number - 1) * _PER_PAGE : number * _PER_PAGE]:
        with st.container(border=True):
            try:
                _show(each, labels.get(each.source))
                panel.compare(each, data[each.source], (_name(first.card), _name(second.card)))
            except cnnapp.CnnAppError as error:
                st.error(f"{each.source}: cannot be drawn: {error}", icon=":material/broken_image:")


def _compare(
    first: cnnapp.Predictor, second: cnnapp.Predictor, given: Sequence[tuple[str, bytes]]
) -> tuple[list[Difference], list[str]]:
    memory, count = visit.current().memory, len(given)
    stores = [st.session_state.setdefault(name, AnswerStore(memory=memory, name=name)) for name in _STORES]
    asked = [store.ask(model, given) for store, model in zip(stores, (first, second), strict=True)]

    def work(report: queued.Report) -> Iterator[Difference | str]:
        report(0.0, "Analysing the images")
        pairs = zip(stores[0].complete(asked[0]), stores[1].complete(asked[1]), strict=True)
        for number, pair in enumerate(pairs, start=1):
            report(number / count, f"Analysed {number:,} of {count:,} images by both models")
            yield _difference(*pair)

    found = list(queued.stream(work, light=all(each.light for each in asked)))
    return [each for each in found if not isinstance(each, str)], [each for each in found if isinstance(each, str)]


def _difference(one: Answered, other: Answered) -> Difference | str:
    """Return where two answers differ, or why that cannot be said."""
    if isinstance(one.answer, cnnapp.DataError):
        return str(one.answer)
    if isinstance(other.answer, cnnapp.DataError):
        return str(other.answer)
    try:
        return comparison.compare(one.answer, other.answer)
    except cnnapp.CnnAppError as error:
        return str(error)


def _summary(
    differences: Sequence[Difference],
    labels: dict[str, str | None],
    first: cnnapp.Predictor,
    second: cnnapp.Predictor,
) -> None:
    agreeing = sum(each.agrees for each in differences)
    st.subheader(f"They agree on {agreeing:,} of {len(differences):,} images")
    st.caption("The images where they differ most come first.")
    labelled = [(each, str(labels[each.source])) for each in differences if labels.get(each.source)]
    known = [(each, label) for each, label in labelled if each.right(label) is not None]
    if known:
        found = comparison.verdict([each for each, _ in known], [label for _, label in known])
        st.info(f"A is {_name(first.card)}, B is {_name(second.card)}. By the labels: {found}", icon=":material/rule:")
    rows = [
        {"Image": each.source, "Agree": "yes" if each.agrees else "no", "Difference": percent(each.amount, 1)}
        for each in comparison.ranked(differences)
    ]
    with st.expander("All images"):
        st.dataframe(rows, hide_index=True, width="stretch")


def _name(card: ModelCard) -> str:
    return f"{card.name}/{card.version}"


def _show(each: Difference, label: str | None) -> None:
    heading = "agree" if each.agrees else "differ"
    truth = f", labelled {label}" if label else ""
    st.markdown(f"**{each.source}**{truth}: they {heading} ({percent(each.amount, 1)})")

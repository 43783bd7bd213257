"""The page where two models answer for the same images."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

import cnnapp
from cnnapp.prediction.prediction_cache import AnswerStore
from cnnapp.prediction.uploads import label_of
from cnnapp.reports import comparison
from cnnapp.reports.comparison import ClassDifference, Difference, ObjectDifference, PixelDifference
from cnnapp.reports.comparison_plots import draw_pixels, only_alone
from cnnapp.reports.labelled_samples import LABELLED, labelled_images
from cnnapp.reports.training_command import another_command
from pipelines.artifacts.model_card import ModelCard
from ui.components import class_switches, image_picker, model_picker, url_state
from ui.components.segmentations import LARGEST

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
    name = st.selectbox("With", names, key=key, help="Another model of the same task, with classes that both know.")
    url_state.keep("with", name)
    return model_picker.load(name)


def _show_all(
    first: cnnapp.Predictor,
    second: cnnapp.Predictor,
    given: Sequence[tuple[str, bytes]],
    labels: dict[str, str | None],
) -> None:
    differences, failures = _compare(first, second, given)
    for failure in failures:
        st.error(failure, icon=":material/broken_image:")
    if not differences:
        return
    _summary(differences, labels, first, second)
    ordered = comparison.ranked(differences)
    pages = -(-len(ordered) // _PER_PAGE)
    number = st.pagination(pages, key=f"page of {len(ordered)}") if pages > 1 else 1
    data = dict(given)
    for each in ordered[(number - 1) * _PER_PAGE : number * _PER_PAGE]:
        with st.container(border=True):
            try:
                _show(each, data[each.source], labels.get(each.source), first.card, second.card)
            except cnnapp.CnnAppError as error:
                st.error(f"{each.source}: cannot be drawn: {error}", icon=":material/broken_image:")


def _compare(
    first: cnnapp.Predictor, second: cnnapp.Predictor, given: Sequence[tuple[str, bytes]]
) -> tuple[list[Difference], list[str]]:
    differences, failures = [], []
    bar = st.progress(0.0, "answering")
    stores = [st.session_state.setdefault(key, AnswerStore()) for key in _STORES]
    pairs = zip(stores[0].answer(first, given), stores[1].answer(second, given), strict=True)
    for number, (one, other) in enumerate(pairs, start=1):
        bar.progress(number / len(given), f"answered {number:,} of {len(given):,} twice")
        refused = next((each.answer for each in (one, other) if isinstance(each.answer, cnnapp.DataError)), None)
        if refused is not None:
            failures.append(str(refused))
            continue
        try:
            differences.append(comparison.compare(one.answer, other.answer))
        except cnnapp.CnnAppError as error:
            failures.append(str(error))
    bar.empty()
    return differences, failures


def _summary(
    differences: Sequence[Difference],
    labels: dict[str, str | None],
    first: cnnapp.Predictor,
    second: cnnapp.Predictor,
) -> None:
    agreeing = sum(each.agrees for each in differences)
    st.subheader(f"They agree on {agreeing:,} of {len(differences):,} images")
    st.caption("The images where they differ most come first.")
    known = [each for each in differences if isinstance(each, ClassDifference) and labels.get(each.source)]
    if known:
        found = comparison.verdict(known, [str(labels[each.source]) for each in known])
        st.info(
            f"First is {_name(first.card)}, second {_name(second.card)}. By the labels: {found}", icon=":material/rule:"
        )
    rows = [
        {"image": each.source, "agree": "yes" if each.agrees else "no", "difference": f"{each.amount:.1%}"}
        for each in comparison.ranked(differences)
    ]
    with st.expander("All images"):
        st.dataframe(rows, hide_index=True, width="stretch")


def _name(card: ModelCard) -> str:
    return f"{card.name}/{card.version}"


def _show(each: Difference, image: bytes, label: str | None, first: ModelCard, second: ModelCard) -> None:
    heading = "agree" if each.agrees else "differ"
    truth = f", labelled {label}" if label else ""
    st.markdown(f"**{each.source}**{truth}: they {heading} ({each.amount:.1%})")
    if isinstance(each, ClassDifference):
        _show_classes(each, image, first, second)
    elif isinstance(each, ObjectDifference):
        _show_objects(each, image, first, second)
    elif isinstance(each, PixelDifference):
        _show_pixels(each, image, first, second)


def _show_classes(each: ClassDifference, image: bytes, first: ModelCard, second: ModelCard) -> None:
    left, middle, right = st.columns(3, vertical_alignment="center")
    left.image(image_picker.picture(image), caption=each.source, width="stretch", alt=each.source)
    for column, card, answer in ((middle, first, each.first), (right, second, each.second)):
        column.caption(_name(card))
        column.markdown(f"**{answer.class_name} · {answer.score:.1%}**")
        for name, score in answer.top(3):
            column.progress(score, f"{name}  {score:.1%}")


def _show_objects(each: ObjectDifference, image: bytes, first: ModelCard, second: ModelCard) -> None:
    st.caption(f"{len(each.both)} found by both; boxes are drawn of what only one found.")
    for column, card, is_second in zip(st.columns(2), (first, second), (False, True), strict=True):
        alone = only_alone(each, is_second)
        found = ", ".join(f"{count} × {name}" for name, count in alone.counts().items()) or "nothing"
        text = f"only {_name(card)}: {found}"
        column.image(alone.draw(image), caption=text, width="stretch", alt=f"{each.source}, {text}")


def _show_pixels(each: PixelDifference, image: bytes, first: ModelCard, second: ModelCard) -> None:
    columns = st.columns(3)
    for column, card, answer in zip(columns, (first, second), (each.first, each.second), strict=False):
        drawn = answer.draw(image, legend=False, largest=LARGEST)
        column.image(drawn, caption=_name(card), width="stretch", alt=f"{_name(card)}: {answer}")
    text = f"{each.amount:.2%} of the pixels differ"
    columns[2].image(draw_pixels(each, image), caption=f"{text}, in orange", width="stretch", alt=text)
    same = each.first.class_names == each.second.class_names
    for answers in [(each.first, each.second)] if same else [(each.first,), (each.second,)]:
        names = list(answers[0].class_names)
        present = sorted({names.index(name) for answer in answers for name, _, _ in answer.areas()})
        class_switches.legend(names, [(class_id, "") for class_id in present])
    if each.pairs:
        worst = "; ".join(f"{one} → {other}: {count:,} pixels" for one, other, count in each.pairs[:5])
        st.caption(f"{_name(first)} → {_name(second)}: {worst}")

"""Answers that are kept for the next time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import cnnapp
from cnnapp.prediction import prediction_cache
from cnnapp.prediction.prediction_cache import AnswerStore
from drawings import draw_scene
from pipelines.core.errors import ConfigError, DataError, ImageTooLargeError


def png(seed: int, size: tuple[int, int] = (37, 50)) -> bytes:
    buffer = io.BytesIO()
    draw_scene(seed, size)[0].save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [("a.png", png(1)), ("b.png", png(2)), ("bad.png", b"no image"), ("c.png", png(1))]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that models were asked about."""
    names: list[str] = []
    answer = cnnapp.Predictor.predict_each

    def counted(model, images, batch_size=32, names=None, _asked=names, **options):
        _asked.extend(names or [])  # the tests themselves ask without
        return answer(model, images, batch_size, names=names, **options)

    monkeypatch.setattr(cnnapp.Predictor, "predict_each", counted)
    return names


@pytest.fixture
def model(segmenters: Path) -> cnnapp.Predictor:
    return cnnapp.load("painted")


def test_answers_are_those_of_the_model_and_given_once(model, asked):
    store = AnswerStore()
    for _ in range(2):
        found = list(store.answer(model, IMAGES))
        assert [one.name for one in found] == ["a.png", "b.png", "bad.png", "c.png"]
        assert isinstance(found[2].answer, DataError)
        for one, (name, data) in zip(found, IMAGES, strict=True):
            if name != "bad.png":
                np.testing.assert_array_equal(one.answer.class_map, model.predict([data])[0].class_map)
    assert [name for name in asked if name in dict(IMAGES)] == ["a.png", "b.png", "bad.png", "c.png", "bad.png"]
    assert store.size == 3 * 5 * 37 * 50


def test_another_order_takes_what_is_there(model, asked):
    store = AnswerStore()
    list(store.answer(model, IMAGES[:1]))
    assert [one.name for one in store.answer(model, [IMAGES[1], IMAGES[0]])] == ["b.png", "a.png"]
    assert asked == ["a.png", "b.png"]
    list(store.answer(model, IMAGES[1:2]))
    assert len(store) == 1  # the other image is gone


def test_what_does_not_fit_is_answered_anew_and_never_more_is_kept(model, asked):
    store = AnswerStore(most_bytes=5 * 37 * 50 + 10)
    for _ in range(2):
        assert len(list(store.answer(model, IMAGES[:2]))) == 2
        assert store.size <= 5 * 37 * 50 + 10
    assert asked == ["a.png", "b.png", "b.png"]


def test_other_options_are_kept_beside_and_the_oldest_go_first(detectors: Path, asked):
    model = cnnapp.load("scattered")
    store = AnswerStore()
    options = [{"score_threshold": score} for score in (0.1, 0.5, 0.1)]
    counts = [len(next(store.answer(model, IMAGES[:1], each)).answer) for each in options]
    assert counts[0] == counts[2] >= counts[1]
    assert asked == ["a.png", "a.png"]
    for each, count in zip(options, counts, strict=True):
        assert count == len(model.predict([IMAGES[0][1]], **each)[0])
    small = AnswerStore(most_bytes=store.size // 2 + 100)
    for each in options:
        list(small.answer(model, IMAGES[:1], each))
        assert small.size <= store.size // 2 + 100


def test_what_is_refused_as_too_large_is_answered_in_pieces(model, monkeypatch):
    expected = model.predict([IMAGES[0][1]])[0].class_map

    def refuse(self, size, name, options):
        raise ImageTooLargeError(f"{name}: too large")

    monkeypatch.setattr(cnnapp.Predictor, "_refuse_too_large", refuse)
    steps: list[tuple] = []
    store = AnswerStore()
    (found,) = store.answer(model, IMAGES[:1], advance=lambda *step: steps.append(step))
    assert found.pieces
    np.testing.assert_array_equal(found.answer.class_map, expected)
    assert steps == [("a.png", 1, 1)]
    assert next(store.answer(model, IMAGES[:1])).pieces  # also from what is kept


def test_a_large_image_shows_how_far_it_is(model, monkeypatch):
    monkeypatch.setattr(prediction_cache, "_LARGE", 37 * 50 - 1)
    steps: list[tuple] = []
    images = [IMAGES[0], ("small.png", png(3, (36, 50))), IMAGES[2], IMAGES[1]]
    found = list(AnswerStore().answer(model, images, advance=lambda *step: steps.append(step)))
    assert [one.pieces for one in found] == [True, False, False, True]
    assert [step[0] for step in steps] == ["a.png", "b.png"]
    for one, (name, data) in zip(found, images, strict=True):
        if name != "bad.png":
            np.testing.assert_array_equal(one.answer.class_map, model.predict([data])[0].class_map)

    def refuse(*_, name, **__):
        raise ConfigError(f"{name}: sees the whole image")

    monkeypatch.setattr(cnnapp.Predictor, "predict_by_pieces", refuse)
    (found,) = AnswerStore().answer(model, images[:1])
    assert not found.pieces
    assert found.answer.class_map.shape == (37, 50)


def test_a_classifier_has_no_pieces(models: Path, monkeypatch):
    model = cnnapp.load("shapes")

    def refuse(self, *_):
        return ImageTooLargeError("too large")

    monkeypatch.setattr(cnnapp.Predictor, "_read", refuse)
    (found,) = AnswerStore().answer(model, IMAGES[:1])
    assert isinstance(found.answer, ImageTooLargeError)

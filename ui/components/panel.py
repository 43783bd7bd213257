"""What the pages show of answers, whatever the task; the panels of tasks say it better."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import streamlit as st
from PIL import Image

import cnnapp
from cnnapp.results.answer import Answer, Difference
from cnnapp.sessions.session_memory import SessionMemory, measured
from pipelines.artifacts.model_card import ModelCard
from ui.components import class_switches, queued, visit

__all__ = ["Look", "Panel", "drawing"]


@dataclass(frozen=True)
class Look:
    """How answers are drawn.

    Args:
        opacity: of what is laid over the image, 0 to 1.
        shown: ids of the classes that are drawn.
    """

    opacity: float = 1.0
    shown: tuple[int, ...] = ()


def drawing(image: bytes, draw: Callable[[], Image.Image]) -> Image.Image:
    """Return a picture of an image, once it is the session's turn where that is heavy work.

    Args:
        image: encoded.
        draw: makes the picture; in another thread, so that it draws nothing on the page.
    """
    return queued.run("Drawing the image", draw, queued.is_light(image), queued.DRAWING)


class Panel:
    """What the pages show of the answers of a task.

    A subclass overrides what it can say better, and is a row of :data:`ui.components.panels.PANELS`.
    """

    opacity: ClassVar[tuple[str, float] | None] = None
    """What is laid over the image, in a word, and how opaque it usually is; None where nothing is. With it, classes can
    be chosen that are drawn.
    """
    evidence: ClassVar[str] = "Evidence"
    """What the view of Explain is called that says where a class is seen."""
    decision: ClassVar[str] = (
        "The scores are those of the image. Coloured is what changes them through this unit alone."
    )
    """What is said of the decision at a point."""

    # === Predict ===

    def caption(self, card: ModelCard) -> str:
        """Return what is said of the model above the choice of images."""
        return card.description

    def options(self, model: cnnapp.Predictor) -> dict[str, Any]:
        """Ask for those of the model's optional inputs that the page has a control for; begin with the model's own."""
        options, name = model.card.input.get("options", {}), f"{model.card.name}/{model.card.version}"
        if "score_threshold" not in options or "overlap_threshold" not in options:
            return {}
        left, right = st.columns(2)
        score = left.slider(
            "Minimum confidence",
            0.0,
            1.0,
            float(options["score_threshold"]),
            0.01,
            key=f"score {name}",
            help="Lower values find more objects, including false ones.",
            persist_state="session",
        )
        overlap = right.slider(
            "Maximum overlap (IoU)",
            0.0,
            1.0,
            float(options["overlap_threshold"]),
            0.01,
            key=f"overlap {name}",
            help="Intersection over union of two boxes of a class; of boxes that share more, the one with the higher "
            "score is kept.",
            persist_state="session",
        )
        return {"score_threshold": max(score, 0.01), "overlap_threshold": overlap}

    def look(self, model: cnnapp.Predictor) -> Look:
        """Ask how answers are drawn."""
        if self.opacity is None:
            return Look()
        what, usual = self.opacity
        key = f"opacity {model.card.task}"
        opacity = st.slider(f"{what} opacity", 0.0, 1.0, usual, 0.05, key=key, persist_state="session")
        return Look(opacity, tuple(class_switches.switches(model.card)))

    def show(self, model: cnnapp.Predictor, answer: Any, image: bytes, look: Look) -> None:
        """Show the answer for an image.

        Args:
            model: that answered.
            answer: of the task's type.
            image: encoded.
            look: how it is drawn.

        Raises:
            DataError: if it cannot be drawn.
        """
        st.image(self.drawn(answer, image, look)[0], caption=answer.source, alt=str(answer))
        st.subheader(str(answer).removeprefix(f"{answer.source}: "))
        with st.expander("All values"):
            st.json(answer.to_json())

    def pictures(self, answer: Any, image: bytes, look: Look) -> tuple[Any, ...]:
        """Return the pictures that :meth:`show` puts on the page, as ``st.image`` takes them.

        Of large images that is heavy work, and is done in another thread: it draws nothing on the page.

        Args:
            answer: of the task's type.
            image: encoded.
            look: how it is drawn.

        Raises:
            DataError: if it cannot be drawn.
        """
        return (self.draw(answer, image, look),)

    def drawn(self, answer: Any, image: bytes, look: Look) -> tuple[Any, ...]:
        """Return :meth:`pictures`, once it is the session's turn where that is heavy work.

        Args:
            answer: of the task's type.
            image: encoded.
            look: how it is drawn.

        Raises:
            DataError: if it cannot be drawn.
        """
        memory = visit.current().memory
        light = self._find(memory, answer, look) is not None or queued.is_light(image)
        return queued.run(
            f"Drawing {answer.source}", lambda: self.draw_ahead(memory, answer, image, look), light, queued.DRAWING
        )

    def draw_ahead(self, memory: SessionMemory, answer: Any, image: bytes, look: Look) -> tuple[Any, ...]:
        """Return :meth:`pictures`, drawn now unless they are kept, and keep them.

        Args:
            memory: where they are kept.
            answer: of the task's type.
            image: encoded.
            look: how it is drawn.

        Raises:
            DataError: if it cannot be drawn.
        """
        found = self._find(memory, answer, look)
        if found is None:
            found = self.pictures(answer, image, look)
            memory.keep(self._key(answer), (weakref.ref(answer), look, found), measured(found))
        return found

    def _key(self, answer: Any) -> tuple[str, str, str]:
        return "pictures", type(self).__name__, answer.source

    def _find(self, memory: SessionMemory, answer: Any, look: Look) -> tuple[Any, ...] | None:
        """Return pictures that are kept, if they are of this very answer, looked at in this way."""
        drawn_of, looked_at, pictures = memory.get(self._key(answer), (lambda: None, None, None))
        found: tuple[Any, ...] | None = pictures if drawn_of() is answer and looked_at == look else None
        return found

    def draw(self, answer: Any, image: bytes, look: Look) -> Image.Image:
        """Return the picture of an answer, as it is offered as a file.

        Args:
            answer: of the task's type.
            image: encoded.
            look: how it is drawn.

        Raises:
            DataError: if it cannot be drawn.
        """
        answer_of_any_type: Answer = answer
        return answer_of_any_type.draw(image)

    def columns(self, header: Sequence[str]) -> list[int]:
        """Return which columns of the table of all answers are shown; the files have all.

        Args:
            header: their names, the last of which is that of errors.
        """
        return list(range(len(header)))

    # === Compare ===

    def compare(self, difference: Any, image: bytes, names: tuple[str, str]) -> None:
        """Show where two answers for an image differ.

        Args:
            difference: of two answers of the task's type.
            image: encoded.
            names: of the two models.
        """
        found: Difference = difference
        for column, name, answer in zip(st.columns(2), names, (found.first, found.second), strict=True):
            column.caption(name)
            drawn = drawing(image, partial(answer.draw, image))
            column.image(drawn, caption=str(answer), width="stretch", alt=f"{name}: {answer}")

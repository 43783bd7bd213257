"""The whole way once, on embedded images: train, export, answer, report."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cnnapp.prediction import model_paths
from cnnapp.prediction.predictor import Predictor
from cnnapp.reports.html_report import evaluate_to
from pipelines.core import extras
from pipelines.core.percent import percent

if TYPE_CHECKING:
    from pipelines.data import Example, Splits

__all__ = ["run"]

_FOLDER = Path("reports") / "demo"


def run(out: Console, epochs: int | None = None) -> Path:
    """Train ``digits``, evaluate it on its test images, answer for some of them as files, and for scenes of digits.

    Args:
        out: where to say what happens.
        epochs: fewer than usual, for tests.

    Returns:
        The folder with the report, the images and the drawn answers.
    """
    extras.need("the demo", "train")
    from pipelines import classification, data
    from pipelines.data import detection, segmentation

    out.print("1/6  training a classifier of handwritten digits")
    trained = classification.train("digits", root=model_paths.root(), data="digits", model="convnet", epochs=epochs)
    out.print("2/6  evaluating the exported model on test images that training never saw")
    predictor = Predictor(trained.path)
    folder, report, _ = evaluate_to(predictor, "digits", folder=_FOLDER)
    out.print("3/6  predicting image files")
    files = _write_images(folder / "images", islice(data.load("digits").test.examples(), 6))
    for path, answer in zip(files, predictor.predict(files), strict=True):
        answer.draw().save(folder / f"answer-{path.stem}.png")
        out.print(f"     {answer}", soft_wrap=True)
    out.print("4/6  detecting digits in scenes, with the shipped detector")
    scenes = _shipped(out, "digit-scenes", detection.load("scenes"), folder, "average precision at IoU 0.5", "ap50")
    out.print("5/6  segmenting scenes, with the shipped network")
    masks = _shipped(out, "digit-segmentation", segmentation.load("scenes"), folder, "mean IoU", "mean_iou")
    accuracy = report.figures["accuracy"]
    out.print(f"6/6  test accuracy {percent(accuracy)} on {report.figures['images']} images")
    out.print(f"saved model   {trained.path}", soft_wrap=True)
    for each in (folder, scenes, masks):
        out.print(f"report        {each / 'report.html'}", soft_wrap=True)
    out.print("page          cnnapp ui   (or: make ui)")
    return folder


def _shipped(out: Console, name: str, splits: Splits[Any], folder: Path, words: str, figure: str) -> Path:
    """Measure a model that ships on its test scenes, and draw what it answers for some of them."""
    # The one that was installed, wherever the models that are trained here go.
    model = Predictor(model_paths.resolve(name, model_paths.installed()))
    own, report, _ = evaluate_to(model, "scenes", folder=folder.parent / f"{folder.name}-{name}")
    files = _write_images(own / "images", islice(splits.test.examples(), 3))
    for path, answer in zip(files, model.predict(files), strict=True):
        answer.draw().save(own / f"answer-{path.stem}.png")
        out.print(f"     {answer}", soft_wrap=True)
    out.print(f"     {words}: {report.figures[figure]:.4f} on {report.figures['images']} scenes")
    return own


def _write_images(folder: Path, examples: Iterator[Example[Any]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for example in examples:
        path = folder / f"{example.id.replace('/', '-')}.png"
        path.write_bytes(example.image)
        paths.append(path)
    return paths

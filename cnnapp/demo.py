"""The whole way once, on embedded images: train, export, answer, report."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from rich.console import Console

from cnnapp import saved_models
from cnnapp.predictor import Predictor
from cnnapp.report import evaluate_to

__all__ = ["run"]

_FOLDER = Path("reports") / "demo"


def run(out: Console, epochs: int | None = None) -> Path:
    """Train ``digits``, evaluate it on its test images, answer for some of them as files, and find digits in scenes.

    Args:
        out: where to say what happens.
        epochs: fewer than usual, for tests.

    Returns:
        The folder with the report, the images and the drawn answers.
    """
    from pipelines import classification, data

    out.print("1/5  training a classifier of handwritten digits")
    trained = classification.train("digits", root=saved_models.root(), data="digits", model="convnet", epochs=epochs)
    out.print("2/5  evaluating the exported model on test images that training never saw")
    predictor = Predictor(trained.path)
    folder, report = evaluate_to(predictor, "digits", folder=_FOLDER)
    out.print("3/5  answering for image files")
    files = _write_images(folder / "images", islice(data.load("digits").test.examples(), 6))
    for path, answer in zip(files, predictor.predict(files), strict=True):
        answer.draw().save(folder / f"answer-{path.stem}.png")
        out.print(f"     {answer}", soft_wrap=True)
    out.print("4/5  finding digits in scenes of several, with the detector that ships")
    scenes = _find(out, folder)
    accuracy = report.figures["accuracy"]
    out.print(f"5/5  test accuracy {accuracy:.2%} on {report.figures['images']} images")
    out.print(f"saved model   {trained.path}", soft_wrap=True)
    for each in (folder, scenes):
        out.print(f"report        {each / 'report.html'}", soft_wrap=True)
    out.print("page          make ui   (or: cnnapp ui)")
    return folder


def _find(out: Console, folder: Path) -> Path:
    """Measure the shipped detector on its test scenes, and draw what it finds in some of them."""
    from pipelines.data import detection

    # Beside the code, wherever the models that are trained here go.
    detector = Predictor(saved_models.resolve("digit-scenes", Path(__file__).resolve().parent.parent / "saved_models"))
    scenes, report = evaluate_to(detector, "scenes", folder=folder.parent / f"{folder.name}-scenes")
    files = _write_images(scenes / "images", islice(detection.load("scenes").test.examples(), 3))
    for path, answer in zip(files, detector.predict(files), strict=True):
        answer.draw().save(scenes / f"answer-{path.stem}.png")
        out.print(f"     {answer}", soft_wrap=True)
    ap = report.figures["ap50"]
    out.print(f"     average precision at IoU 0.5: {ap:.4f} on {report.figures['images']} scenes")
    return scenes


def _write_images(folder: Path, examples: islice) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for example in examples:
        path = folder / f"{example.id.replace('/', '-')}.png"
        path.write_bytes(example.image)
        paths.append(path)
    return paths

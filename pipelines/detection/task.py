"""The hooks of detection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.detection.config import DetectionConfig
from pipelines.training.task import Choice, Prepared, Task

if TYPE_CHECKING:
    import keras

    from pipelines.artifacts.model_card import ModelCard
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.artifacts.serving_module import ServingModule
    from pipelines.core.progress import Reporter
    from pipelines.data.checks.classification import Checked
    from pipelines.data.splits import Split, Splits
    from pipelines.detection.sliding_window import ScanSpec
    from pipelines.images.boxes import Objects
    from pipelines.reporting.report import Report
    from pipelines.reporting.words import Words
    from pipelines.training.loop import Loss, Metric

__all__ = ["Detection"]


class Detection(Task):
    """Boxes around objects; see :class:`pipelines.training.task.Task` for what each hook is."""

    name = "detection"
    summary = "boxes around objects"
    labels = "boxes"
    config = DetectionConfig
    evaluation_options = ("score_threshold", "overlap_threshold", "soft_nms_sigma", "scales")
    protocols = ("coco", "uiuc")
    tuning: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "learning_rate": (4e-3, 8e-3, 1.6e-2),
        "zoom": (1.15, 1.25, 1.5),
        "light": (0.1, 0.2, 0.4),
    }

    # === Data ===

    def load(self, config: DetectionConfig) -> Splits[Objects]:
        """Load images with boxes, in any of the formats that are recognised."""
        from pipelines.data.detection import load

        return load(config.data, config.data_dir, config.seed, config.test)

    def load_whole(self, config: DetectionConfig) -> Splits[Objects]:
        """Load a set as a whole."""
        from pipelines.data.detection import load_whole

        return load_whole(config.data, config.data_dir, config.seed)

    def recognises(self, data: str, data_dir: Path | None) -> bool:
        """Say whether a set has boxes."""
        from pipelines.data.detection import is_detection

        return is_detection(data, data_dir)

    def check(self, data: str, data_dir: Path | None, seed: int, reporter: Reporter, **options: Any) -> Checked:
        """Validate a data set."""
        from pipelines.data.checks import detection

        return detection.check(data, data_dir, seed, reporter)

    # === Training ===

    def choose(self, config: DetectionConfig, splits: Splits[Objects]) -> Choice:
        """Choose window, stride, scales, colour, crops, batch size, learning rate and epochs."""
        from pipelines.detection.auto_config import choose

        return choose(config, splits)

    def prepare(self, choice: Choice, splits: Splits[Objects], reporter: Reporter) -> Prepared:
        """Decode the images at the network's scale."""
        from pipelines.detection.crops import crops, decode_scenes
        from pipelines.detection.cut_paste import composer
        from pipelines.training.cached_dataset import EpochOrder, mean_and_deviation
        from pipelines.training.loop import Plan

        config, spec, crop = choice.config, choice.spec, choice.training
        scenes = decode_scenes(splits.train, config.scale, spec.channels, reporter)
        held_out = decode_scenes(splits.validation, config.scale, spec.channels, reporter)
        mean, deviation = mean_and_deviation([scene.pixels for scene in scenes])
        size, seed = config.batch_size, config.seed
        composed = [composer(part, crop) for part in (scenes, held_out)]
        plan = Plan(
            train=lambda start: crops(scenes, crop, size, seed, training=True, compose=composed[0], start=start),
            validation=crops(held_out, crop, size, seed, training=False, compose=composed[1]),
            steps_per_epoch=max(1, len(scenes) // size),
            batch_size=size,
            epochs=config.epochs,
            shown=functools.partial(EpochOrder(len(scenes), seed).running_batch, size=size),
        )
        return Prepared(plan, mean, deviation)

    def build(
        self, config: DetectionConfig, spec: ScanSpec, classes: int, mean: float, deviation: float
    ) -> keras.Model:
        """Build the network; see :func:`pipelines.detection.network.build`."""
        from pipelines.detection import network

        return network.build(config, spec, classes, mean, deviation)

    def loss(self, choice: Choice, prepared: Prepared) -> Loss:
        """Return the loss of scores and boxes."""
        from pipelines.detection.loss import detection_loss

        return detection_loss(choice.spec)

    def metrics(self, choice: Choice, classes: int) -> dict[str, Metric]:
        """Return what is followed in training; see :func:`pipelines.detection.loss.detection_metrics`."""
        from pipelines.detection.loss import detection_metrics

        return detection_metrics(choice.spec)

    # === The saved model ===

    def card_input(
        self, model: keras.Model, choice: Choice, splits: Splits[Objects], reporter: Reporter
    ) -> dict[str, Any]:
        """Return how the detector looks, with the thresholds that are best on validation images."""
        from pipelines.artifacts.memory import bytes_per_pixel
        from pipelines.detection.evaluation.thresholds import APART, OVERLAPS, choose_thresholds

        spec = choice.spec
        # Windows that were cut out do not show how near to each other objects may be.
        overlaps = (APART,) if choice.training.montage else OVERLAPS
        chosen = choose_thresholds(model, spec, splits.validation, overlaps, reporter)
        options = {
            "score_threshold": chosen.score,
            "overlap_threshold": chosen.overlap,
            "soft_nms_sigma": chosen.softness,
            "scales": spec.scales,
        }
        return spec.to_json() | {"options": options, "bytes_per_pixel": bytes_per_pixel(model)}  # type: ignore[no-any-return]

    def description(self, choice: Choice, splits: Splits[Objects]) -> str:
        """Say which objects are found."""
        kind = "greyscale" if choice.spec.channels == 1 else "colour"
        return f"Finds {', '.join(splits.classes[:12])} in {kind} images like those of {splits.source}."

    def golden(self, splits: Splits[Objects]) -> list[bytes]:
        """Choose validation images with objects in them."""
        return list(islice((example.image for example in splits.validation.examples() if len(example.label)), 4))

    def serving(
        self, model: keras.Model, classes: Sequence[str], card: dict[str, Any]
    ) -> Callable[[Path], ServingModule]:
        """Return what makes the graphs: the scan, suppression and the names of classes."""
        from pipelines.detection.serving import ScanServing
        from pipelines.detection.sliding_window import ScanSpec, Thresholds

        options = card["input"]["options"]
        thresholds = Thresholds(
            score=float(options["score_threshold"]),
            overlap=float(options["overlap_threshold"]),
            softness=float(options["soft_nms_sigma"]),
        )
        spec, scale = ScanSpec.from_json(card["input"]), float(card["training"]["scale"])
        return lambda labels: ScanServing(model, labels, spec, thresholds, tuple(classes), scale)

    def rebuild(self, card: ModelCard) -> keras.Model:
        """Build the network of a saved model again."""
        from pipelines.detection.sliding_window import ScanSpec

        config, spec = DetectionConfig.parse(**card.training), ScanSpec.from_json(card.input)
        return self.build(config, spec, len(card.classes), **card.standardisation)

    # === What is known of it afterwards ===

    def evaluate(
        self, served: ServedModel, split: Split[Objects], reporter: Reporter | None = None, **options: Any
    ) -> Report:
        """Measure average precision and kinds of errors; ``protocol`` is one of :attr:`protocols`."""
        from pipelines.detection.evaluation.evaluator import evaluate

        return evaluate(served, split, reporter, **options)

    # === In words ===

    def plan_in_words(self, choice: Choice) -> str:
        """Say which windows are looked at, at which scales, and on what crops the network is trained."""
        config, spec, crop = choice.config, choice.spec, choice.training
        kinds = config.kinds_in_words("backbone", "conv", "pool", "norm")
        return (
            f"images are scaled by {config.scale:.3g}; a window of {spec.window[0]} x {spec.window[1]} pixels in "
            f"{'grey' if spec.channels == 1 else 'colour'} every {spec.stride} pixels ({kinds}); pyramid of "
            f"{', '.join(f'{scale:.3g}' for scale in spec.scales)}\n"
            f"at most {config.epochs} epochs of batches of {config.batch_size} crops of {crop.size[0]} x {crop.size[1]}"
        )

    def outcome_in_words(self, test: Mapping[str, Any]) -> str:
        """Say the average precision."""
        shares = ("none" if test[key] is None else f"{test[key]:.4f}" for key in ("ap", "ap50"))
        return "test AP {}, AP at IoU 0.5 {}, {:,} images".format(*shares, test["images"])

    @property
    def words(self) -> Words:
        """What cards and reports say."""
        from pipelines.detection.words import WORDS

        return WORDS

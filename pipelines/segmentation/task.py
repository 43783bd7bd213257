"""The hooks of segmentation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.core.percent import percent
from pipelines.segmentation.config import SegmentationConfig
from pipelines.training.task import Choice, Prepared, Task

if TYPE_CHECKING:
    import keras

    from pipelines.artifacts.model_card import ModelCard
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.artifacts.serving_module import ServingModule
    from pipelines.core.progress import Reporter
    from pipelines.data.checks.classification import Checked
    from pipelines.data.splits import Example, Split, Splits
    from pipelines.reporting.report import Report
    from pipelines.reporting.words import Words
    from pipelines.segmentation.dense_prediction import LabelSpec
    from pipelines.training.loop import Loss, Metric

__all__ = ["Segmentation"]


class Segmentation(Task):
    """The class of every pixel; see :class:`pipelines.training.task.Task` for what each hook is."""

    name = "segmentation"
    summary = "a class for every pixel"
    labels = "masks"
    config = SegmentationConfig
    tuning: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "learning_rate": (2e-3, 5e-3, 1e-2),
        "loss": ("cross_entropy", "cross_entropy+dice"),
        "zoom": (1.0, 1.5, 2.0),
    }

    # === Data ===

    def load(self, config: SegmentationConfig) -> Splits[Any]:
        """Load images with masks, in any of the formats that are recognised."""
        from pipelines.data.segmentation import load

        return load(config.data, config.data_dir, config.seed, config.test, config.ignore)

    def load_whole(self, config: SegmentationConfig) -> Splits[Any]:
        """Load a set as a whole."""
        from pipelines.data.segmentation import load_whole

        return load_whole(config.data, config.data_dir, config.seed, config.ignore)

    def recognises(self, data: str, data_dir: Path | None) -> bool:
        """Say whether a set has masks."""
        from pipelines.data.segmentation import is_segmentation

        return is_segmentation(data, data_dir)

    def check(self, data: str, data_dir: Path | None, seed: int, reporter: Reporter, **options: Any) -> Checked:
        """Validate a data set; ``ignore`` is a value of masks that is no class."""
        from pipelines.data.checks import segmentation

        return segmentation.check(data, data_dir, seed, reporter, options.get("ignore"))

    def examine(self, example: Example[Any], size: tuple[int, int]) -> None:
        """Refuse a mask of another size than its image, as it is decoded."""
        from pipelines.data import segmentation

        segmentation.examine(example, size)

    # === Training ===

    def choose(self, config: SegmentationConfig, splits: Splits[Any]) -> Choice:
        """Choose scale, colour, crops, batch size, learning rate and epochs."""
        from pipelines.segmentation.auto_config import choose

        return choose(config, splits)

    def prepare(self, choice: Choice, splits: Splits[Any], reporter: Reporter) -> Prepared:
        """Decode images and masks at the network's scale."""
        from pipelines.segmentation.crops import decode_masks, mask_crops, whole
        from pipelines.segmentation.network import class_weights
        from pipelines.training.cached_dataset import EpochOrder, mean_and_deviation
        from pipelines.training.loop import Plan

        config, spec, crop = choice.config, choice.spec, choice.training
        scenes = decode_masks(splits.train, spec.scale, spec.channels, reporter)
        held_out = decode_masks(splits.validation, spec.scale, spec.channels, reporter)
        plan = Plan(
            train=lambda start: mask_crops(scenes, crop, config.batch_size, config.seed, start=start),
            validation=whole(held_out, spec.multiple, config.batch_size),
            steps_per_epoch=max(1, len(scenes) // config.batch_size),
            batch_size=config.batch_size,
            epochs=config.epochs,
            shown=functools.partial(EpochOrder(len(scenes), config.seed).running_batch, size=config.batch_size),
        )
        weights = class_weights(config, [scene.mask for scene in scenes], len(splits.classes))
        return Prepared(plan, *mean_and_deviation([scene.pixels for scene in scenes]), class_weights=weights)

    def build(
        self, config: SegmentationConfig, spec: LabelSpec, classes: int, mean: float, deviation: float
    ) -> keras.Model:
        """Build the network; see :func:`pipelines.segmentation.network.build`."""
        from pipelines.segmentation import network

        return network.build(config, spec, classes, mean, deviation)

    def loss(self, choice: Choice, prepared: Prepared) -> Loss:
        """Return the sum of the configured terms."""
        from pipelines.segmentation.loss import mask_loss

        return mask_loss(choice.config.loss, prepared.class_weights, choice.spec.stride)

    def metrics(self, choice: Choice, classes: int) -> dict[str, Metric]:
        """Return mean intersection over union and pixel accuracy."""
        from pipelines.segmentation.loss import mask_metrics

        return mask_metrics(classes, choice.spec.stride)

    # === The saved model ===

    def card_input(self, model: keras.Model, choice: Choice, splits: Splits[Any], reporter: Reporter) -> dict[str, Any]:
        """Return how images are scaled, how far around a tile the network looks, and what memory a pixel takes."""
        from pipelines.artifacts.memory import bytes_per_pixel
        from pipelines.segmentation.tiling import halo_of

        spec = choice.spec
        further = {"halo": halo_of(model, spec.multiple).to_json(), "bytes_per_pixel": bytes_per_pixel(model)}
        return spec.to_json() | further  # type: ignore[no-any-return]

    def description(self, choice: Choice, splits: Splits[Any]) -> str:
        """Say which classes are told apart."""
        kind = "greyscale" if choice.spec.channels == 1 else "colour"
        return f"Segments {', '.join(splits.classes[:12])} in {kind} images like those of {splits.source}."

    def golden(self, splits: Splits[Any]) -> list[bytes]:
        """Choose two validation images: their maps are large."""
        return [example.image for example in islice(splits.validation.examples(), 2)]

    def serving(
        self, model: keras.Model, classes: Sequence[str], card: dict[str, Any]
    ) -> Callable[[Path], ServingModule]:
        """Return what makes the graphs, for images of any size."""
        from pipelines.segmentation.dense_prediction import LabelSpec
        from pipelines.segmentation.serving import MaskServing

        spec = LabelSpec.from_json(card["input"])
        return lambda labels: MaskServing(model, labels, spec)

    def rebuild(self, card: ModelCard) -> keras.Model:
        """Build the network of a saved model again."""
        from pipelines.segmentation.dense_prediction import LabelSpec

        config, spec = SegmentationConfig.parse(**card.training), LabelSpec.from_json(card.input)
        return self.build(config, spec, len(card.classes), **card.standardisation)

    # === What is known of it afterwards ===

    def evaluate(
        self, served: ServedModel, split: Split[Any], reporter: Reporter | None = None, **options: Any
    ) -> Report:
        """Measure overlap, boundaries and calibration."""
        from pipelines.segmentation.evaluation.evaluator import evaluate

        return evaluate(served, split, reporter)

    # === In words ===

    def plan_in_words(self, choice: Choice) -> str:
        """Say which network is trained, on what crops."""
        config, spec = choice.config, choice.spec
        height, width = config.crop
        kinds = config.kinds_in_words("backbone", "conv", "pool", "norm")
        return (
            f"{config.model} ({kinds}, loss {'+'.join(config.loss)}) on images scaled by {spec.scale:.3g}, in "
            f"{'grey' if spec.channels == 1 else 'colour'}; an answer at every "
            f"{'pixel' if spec.stride == 1 else f'{spec.stride} pixels'}\n"
            f"at most {config.epochs} epochs of batches of {config.batch_size} crops of {height} x {width}"
        )

    def outcome_in_words(self, test: Mapping[str, Any]) -> str:
        """Say the mean intersection over union."""
        return (
            f"test mean IoU {test['mean_iou']:.4f}, pixel accuracy {percent(test['pixel_accuracy'])}, "
            f"{test['images']:,} images"
        )

    @property
    def words(self) -> Words:
        """What cards and reports say."""
        from pipelines.segmentation.words import WORDS

        return WORDS

"""The hooks of classification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.classification.config import ClassificationConfig
from pipelines.core.percent import percent
from pipelines.training.task import Choice, Prepared, Task

if TYPE_CHECKING:
    import keras

    from pipelines.artifacts.model_card import ModelCard
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.artifacts.serving_module import ServingModule
    from pipelines.core.progress import Reporter
    from pipelines.data.checks.classification import Checked
    from pipelines.data.splits import Split, Splits
    from pipelines.images.preprocessing import ImageSpec
    from pipelines.reporting.report import Report
    from pipelines.reporting.words import Words
    from pipelines.training.loop import Loss, Metric

__all__ = ["Classification"]


class Classification(Task):
    """One class for each image; see :class:`pipelines.training.task.Task` for what each hook is."""

    name = "classification"
    summary = "one class for each image"
    labels = "classes"
    config = ClassificationConfig
    tuning: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "learning_rate": (5e-4, 1e-3, 2e-3, 4e-3),
        "weight_decay": (0.01, 0.05, 0.2),
        "augment": ("light", "strong"),
    }

    # === Data ===

    def load(self, config: ClassificationConfig) -> Splits[int]:
        """Load images in a folder per class, the embedded digits, or a set of tensorflow-datasets."""
        from pipelines.data.classification import load

        return load(config.data, config.data_dir, config.seed)

    def check(self, data: str, data_dir: Path | None, seed: int, reporter: Reporter, **options: Any) -> Checked:
        """Validate a data set."""
        from pipelines.data.checks import classification

        return classification.check(data, data_dir, seed, reporter)

    # === Training ===

    def choose(self, config: ClassificationConfig, splits: Splits[int]) -> Choice:
        """Choose size, colour, batch size, epochs, pooling and mirroring."""
        from pipelines.classification.auto_config import choose

        return choose(config, splits)

    def prepare(self, choice: Choice, splits: Splits[int], reporter: Reporter) -> Prepared:
        """Decode the images to the size that the network sees."""
        from pipelines.classification.auto_config import standardisation
        from pipelines.classification.batches import plan
        from pipelines.training.cached_dataset import decode_split

        train = decode_split(splits.train, choice.spec, reporter)
        validation = decode_split(splits.validation, choice.spec, reporter)
        mean, deviation = standardisation(train.images)
        return Prepared(plan(choice.config, len(splits.classes), train, validation), mean, deviation)

    def build(
        self, config: ClassificationConfig, spec: ImageSpec, classes: int, mean: float, deviation: float
    ) -> keras.Model:
        """Build the network; see :func:`pipelines.classification.network.build`."""
        from pipelines.classification import network

        return network.build(config, spec, classes, mean, deviation)

    def loss(self, choice: Choice, prepared: Prepared) -> Loss:
        """Return the cross-entropy; classes are weighed by the batches."""
        from pipelines.classification import network

        return network.loss(choice.config)

    def metrics(self, choice: Choice, classes: int) -> dict[str, Metric]:
        """Return the accuracy."""
        from pipelines.classification import network

        return network.metrics(choice.config)

    # === The saved model ===

    def card_input(self, model: keras.Model, choice: Choice, splits: Splits[int], reporter: Reporter) -> dict[str, Any]:
        """Return how an image is brought to the network's size."""
        return choice.spec.to_json()  # type: ignore[no-any-return]

    def description(self, choice: Choice, splits: Splits[int]) -> str:
        """Say how many classes there are, and in what images."""
        kind = "greyscale" if choice.spec.channels == 1 else "colour"
        return f"Classifies {kind} images like those of {splits.source} into {len(splits.classes)} classes."

    def golden(self, splits: Splits[int]) -> list[bytes]:
        """Choose the first validation image of each class."""
        from pipelines.artifacts.writer import choose_golden

        return choose_golden([(example.label, example.image) for example in splits.validation.examples()])

    def generated_size(self, choice: Choice) -> tuple[int, int]:
        """Return what the network is shown."""
        return int(choice.spec.height), int(choice.spec.width)

    def serving(
        self, model: keras.Model, classes: Sequence[str], card: dict[str, Any]
    ) -> Callable[[Path], ServingModule]:
        """Return what makes the graphs: resizing, the network, softmax and the names of classes."""
        from pipelines.classification.network import decode
        from pipelines.classification.serving import ImageServing
        from pipelines.images.preprocessing import ImageSpec

        names, spec = tuple(classes), ImageSpec(**card["input"])
        return lambda labels: ImageServing(model, labels, spec, lambda logits: decode(logits, names))

    def rebuild(self, card: ModelCard) -> keras.Model:
        """Build the network of a saved model again."""
        from pipelines.images.preprocessing import ImageSpec

        config, spec = ClassificationConfig.parse(**card.training), ImageSpec(**card.input)
        return self.build(config, spec, len(card.classes), **card.standardisation)

    # === What is known of it afterwards ===

    def evaluate(
        self, served: ServedModel, split: Split[int], reporter: Reporter | None = None, **options: Any
    ) -> Report:
        """Measure accuracy, figures per class and calibration."""
        from pipelines.classification.evaluator import evaluate

        return evaluate(served, split, reporter)

    # === In words ===

    def plan_in_words(self, choice: Choice) -> str:
        """Say which network sees what, for how long."""
        config, spec = choice.config, choice.spec
        sees = f"{spec.height} x {spec.width} pixels in {'grey' if spec.channels == 1 else 'colour'}"
        return (
            f"{config.model} ({config.kinds_in_words('conv', 'pool', 'norm', 'head')}) sees {sees}; "
            f"at most {config.epochs} epochs of batches of {config.batch_size}"
        )

    def outcome_in_words(self, test: Mapping[str, Any]) -> str:
        """Say the accuracy with its interval."""
        low, high = test["accuracy_95"]
        return (
            f"test accuracy {percent(test['accuracy'])} (95 % interval {percent(low)} to {percent(high)}, "
            f"{test['images']:,} images)"
        )

    @property
    def words(self) -> Words:
        """What cards and reports say."""
        from pipelines.classification.words import WORDS

        return WORDS

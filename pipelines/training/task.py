"""What a task is: the hooks that everything which varies by task is asked of, whatever is looked for in the image.

A task is a class that fills these hooks, and a row in :data:`pipelines.tasks.registry.TASKS`. Importing the module that
holds it must not import TensorFlow: the command line asks every task for its name and its options. What computes is
imported inside the hooks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
    from pipelines.training.config import TrainingConfig
    from pipelines.training.loop import Loss, Metric, Plan

__all__ = ["Choice", "Prepared", "Task"]


@dataclass(frozen=True)
class Choice:
    """A training run with nothing left open.

    Args:
        config: the options, those that the user left open chosen from the data.
        spec: what the network sees of an image, as the task records it.
        training: what the network is shown in training besides, where the task has it: crops.
    """

    config: Any
    spec: Any
    training: Any = None


@dataclass(frozen=True)
class Prepared:
    """The data of a training run, decoded.

    Args:
        plan: the batches, and how often to go through them.
        mean: of the training pixels, 0 to 255.
        deviation: their standard deviation.
        class_weights: of the loss, where classes are weighed there.
    """

    plan: Plan
    mean: float
    deviation: float
    class_weights: Any = None


class Task(ABC):
    """The hooks of a task, in the order in which a run asks for them."""

    name: ClassVar[str]
    """As on the command line and on cards: "classification", for example."""
    summary: ClassVar[str]
    """What it is, for the help of `cnnapp train NAME`: "one class for each image"."""
    labels: ClassVar[str]
    """What its data sets have besides images: "classes", "boxes", "masks"."""
    config: ClassVar[type[TrainingConfig]]
    """Its options: the fields are those of the command line and of Python."""
    evaluation_options: ClassVar[tuple[str, ...]] = ()
    """What `evaluate` takes besides a model and a split: the model's own optional inputs, or a protocol."""
    protocols: ClassVar[tuple[str, ...]] = ()
    """Names of ways to measure, the usual one first; none where there is one way."""
    tuning: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Options worth trying other values of, with the values."""

    # === Data ===

    @abstractmethod
    def load(self, config: Any) -> Splits[Any]:
        """Load the labelled images that a configuration names (its ``data``, ``data_dir``, ``seed``)."""

    def load_whole(self, config: Any) -> Splits[Any]:
        """Load a set that is only measured on, and may have no training images."""
        return self.load(config)

    def recognises(self, data: str, data_dir: Path | None) -> bool:
        """Say whether a data set has what this task learns from."""
        return False

    def check(self, data: str, data_dir: Path | None, seed: int, reporter: Reporter, **options: Any) -> Checked:
        """Validate a data set, and list every problem."""
        from pipelines.core.errors import ConfigError

        raise ConfigError(f"{self.name}: data sets of this task cannot be checked; train with them instead")

    def examine(self, example: Example[Any], size: tuple[int, int]) -> None:
        """Raise ``DataError`` for an example that cannot be learned from or measured, before a run begins.

        Args:
            example: as it was read.
            size: (height, width) of its decoded image, upright.
        """
        return

    # === Training ===

    @abstractmethod
    def choose(self, config: Any, splits: Splits[Any]) -> Choice:
        """Fill in what the user left open, from the data."""

    @abstractmethod
    def prepare(self, choice: Choice, splits: Splits[Any], reporter: Reporter) -> Prepared:
        """Decode the training and validation images, and plan the run."""

    @abstractmethod
    def build(self, config: Any, spec: Any, classes: int, mean: float, deviation: float) -> keras.Model:
        """Build the untrained network, with the standardisation of its pixels inside (a layer named "standardise")."""

    @abstractmethod
    def loss(self, choice: Choice, prepared: Prepared) -> Loss:
        """Return the function from (targets, outputs) of a batch to one loss an example."""

    @abstractmethod
    def metrics(self, choice: Choice, classes: int) -> dict[str, Metric]:
        """Return the figures that are followed in training; the first one chooses the best epoch."""

    # === The saved model ===

    @abstractmethod
    def card_input(self, model: keras.Model, choice: Choice, splits: Splits[Any], reporter: Reporter) -> dict[str, Any]:
        """Return ``input`` of the card: what the network is shown, and the defaults of the model's optional inputs."""

    @abstractmethod
    def description(self, choice: Choice, splits: Splits[Any]) -> str:
        """Say in a sentence what the model does, for its card."""

    def golden(self, splits: Splits[Any]) -> list[bytes]:
        """Choose the encoded images whose answers are kept with the model."""
        return [example.image for example in islice(splits.validation.examples(), 4)]

    @abstractmethod
    def serving(
        self, model: keras.Model, classes: Sequence[str], card: dict[str, Any]
    ) -> Callable[[Path], ServingModule]:
        """Return what makes the graphs of a saved model from the file of its labels; the card holds ``input``."""

    @abstractmethod
    def rebuild(self, card: ModelCard) -> keras.Model:
        """Build the network of a saved model again; its weights are not those of the saved model yet."""

    # === What is known of it afterwards ===

    @abstractmethod
    def evaluate(
        self, served: ServedModel, split: Split[Any], reporter: Reporter | None = None, **options: Any
    ) -> Report:
        """Measure a saved model on a split through its own signature, from the encoded bytes on."""

    # === In words ===

    @abstractmethod
    def plan_in_words(self, choice: Choice) -> str:
        """Say in a line or two what is trained, behind the line on the data and before the one on the device."""

    @abstractmethod
    def outcome_in_words(self, test: Mapping[str, Any]) -> str:
        """Say in a line how good the model is, from the figures of the test images."""

    @property
    @abstractmethod
    def words(self) -> Words:
        """What cards and reports say of a model of this task."""

"""What a network is made of: layer by layer its shape, its costs and what its units see."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cnnapp.prediction import model_paths
from layers.analysis.cost import LayerCost, ModelCost, costs
from layers.analysis.receptive_field import LayerField, receptive_fields
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.model_card import CARD, ModelCard, check_files, read_card
from pipelines.artifacts.trust.policy import admit_keras_file, is_trusted
from pipelines.core.errors import ConfigError, ModelError
from pipelines.core.tensorflow_import import import_tensorflow
from pipelines.tasks.registry import find_task

__all__ = ["COLUMNS", "OPTIONAL", "UNIQUE_COLUMNS", "Inspection", "inspect", "parse_size"]

COLUMNS = ("layer", "type", "output", "parameters", "%", "multiply-adds", "%", "memory", "sees", "jump", "centre")
"""The columns of `Inspection.rows`."""

UNIQUE_COLUMNS = (*COLUMNS[:4], "% of parameters", "multiply-adds", "% of multiply-adds", *COLUMNS[7:])
"""The same, each named differently, for tables that ask for that."""

OPTIONAL = (1, 6, 4, 10, 7)
"""Those that a narrow window can do without, the first to go first."""


@dataclass(frozen=True)
class Inspection:
    """What was found out about a model.

    Args:
        title: its name.
        input_sizes: what it is shown, height and width.
        cost: of every layer, for one image.
        fields: what the units of every layer see, in the same order; None where that is not known.
        note: why it is not known.
        example: an encoded image that belongs to the model, if there is one.
    """

    title: str
    input_sizes: tuple[int, ...]
    cost: ModelCost
    fields: tuple[LayerField, ...] | None
    note: str | None = None
    example: bytes | None = None

    def rows(self) -> list[list[str]]:
        """Return one row a layer and one of totals, in words, under `COLUMNS`."""
        fields = self.fields or (None,) * len(self.cost.layers)
        rows = [self._row(cost, field) for cost, field in zip(self.cost.layers, fields, strict=True)]
        return [*rows, ["total", "", "", *self._row(self.cost.total, None)[3:8], "", "", ""]]

    def _row(self, cost: LayerCost, field: LayerField | None) -> list[str]:
        total = self.cost.total
        return [
            cost.name,
            cost.layer_type,
            " x ".join(map(str, cost.output_shape)),
            f"{cost.parameters:,}" if cost.parameters else "",
            _percent(cost.parameters, total.parameters),
            _count(cost.multiply_adds),
            _percent(cost.multiply_adds, total.multiply_adds),
            _count(cost.activation_bytes, 1024, ("B", "KiB", "MiB", "GiB")),
            *_seen(field),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values; positions and sizes in pixels of the input, an entry an axis."""
        fields = self.fields or (None,) * len(self.cost.layers)
        layers = [
            _plain(cost) | {"receptive_field": _field(field)}
            for cost, field in zip(self.cost.layers, fields, strict=True)
        ]
        total = _plain(self.cost.total)
        del total["name"]
        record = {"model": self.title, "input_sizes": list(self.input_sizes), "layers": layers, "total": total}
        return record | ({"note": self.note} if self.note else {})


def inspect(name: str, input_size: tuple[int, ...] | None = None) -> Inspection:
    """Read a model and work out what it is made of. Nothing is run.

    Args:
        name: a saved model, by name or by path, or the path of a `.keras` file.
        input_size: height and width of the images to assume; None for the model's own: of a detector its window,
            of segmentation what it was trained on at a time.

    Raises:
        ModelError: if there is no such model, or it cannot be read or built again.
        ConfigError: if the model does not take images of this size, or takes any and none is given.
    """
    if name.endswith(".keras"):
        return _inspection(_load_keras(Path(name)), Path(name).name, input_size, None)
    directory = model_paths.resolve(name)
    if not (directory / CARD).is_file():
        raise ModelError(f"{directory}: has no {CARD}, which says how the network is built; give its .keras file")
    card = read_card(directory)
    problems = check_files(directory, card)
    if problems:
        raise ModelError(f"{directory}: {problems[0]}; download it again or retrain it")
    model, size = _rebuild(card, input_size)
    # Of a network for any size the example would have to be squeezed into the one that is assumed.
    example = read_golden(directory).inputs[0] if _has_own_size(card) else None
    return _inspection(model, f"{card.name}/{card.version}", size, example)


def parse_size(text: str) -> tuple[int, ...]:
    """Read a size such as "64x96", height first, or "96" for both.

    Raises:
        ConfigError: if it is none.
    """
    parts = text.lower().split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"input-size: received {text!r}; expected height x width such as 64x96, or 96 for both")
    sizes = tuple(int(part) for part in parts)
    return sizes * 2 if len(sizes) == 1 else sizes


def _load_keras(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    import_tensorflow()
    import keras

    import pipelines.models.backbones.lenet5  # likewise
    import pipelines.models.segmenters.doubling  # noqa: F401  likewise

    admit_keras_file(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=not is_trusted())
    except Exception as error:  # Keras raises whatever the bytes and the layers inside happen to raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{path}: Keras cannot load it: {reason}") from None


def _rebuild(card: ModelCard, input_size: tuple[int, ...] | None) -> tuple[Any, tuple[int, ...] | None]:
    """Build the network again from its card; return it, and the size to assume, None for the network's own."""
    import_tensorflow()
    from pipelines.tasks import rebuild

    model = rebuild.unweighted(card)
    if _has_own_size(card):
        return _of_size(model, card, input_size), input_size
    if "window" in card.input:
        return model, input_size or tuple(card.input["window"])
    if "multiple" in card.input and "crop" in card.training:
        return model, _filled(card, input_size)
    return model, input_size


def _has_own_size(card: ModelCard) -> bool:
    """Return whether every image is brought to one size, as a classifier's is."""
    return {"height", "width"} <= set(card.input)


def _filled(card: ModelCard, input_size: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the size of the crops that a network for any size was trained on, or check the one asked for."""
    multiple = int(card.input["multiple"])
    if input_size is None:
        return tuple(-(-side // multiple) * multiple for side in card.training["crop"])
    if any(side % multiple for side in input_size):
        received = "x".join(map(str, input_size))
        raise ConfigError(f"input-size: received {received}; {card.name} is shown multiples of {multiple}")
    return input_size


def _of_size(model: Any, card: ModelCard, input_size: tuple[int, ...] | None) -> Any:
    """Build a network for images of another size than its own, where it can take them."""
    own = int(card.input["height"]), int(card.input["width"])
    if input_size is None or tuple(input_size) == own:
        return model
    height, width = _two(input_size)
    try:
        task = find_task(card.task)
        other = task.rebuild(card.model_copy(update={"input": card.input | {"height": height, "width": width}}))
        if [w.shape for w in other.weights] == [w.shape for w in model.weights]:
            return other
        reason = "for another size its weights have other shapes"
    except ValueError as error:
        reason = str(error)
    raise ConfigError(f"{card.name} takes images of {own[0]} x {own[1]} alone: {reason}")


def _two(size: tuple[int, ...]) -> tuple[int, int]:
    if len(size) != 2:
        raise ConfigError(f"input-size: an image has a height and a width; received {'x'.join(map(str, size))}")
    return size[0], size[1]


def _inspection(model: Any, title: str, input_size: tuple[int, ...] | None, example: bytes | None) -> Inspection:
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if input_size is None and any(None in shape[1:] for shape in shapes):
        raise ConfigError(f"{title} takes images of any size; say with --input-size 64x96 which size to assume")
    try:
        cost = costs(model, input_sizes=input_size)
    except ValueError as error:
        kind = ConfigError if input_size is not None and "input" in str(error) else ModelError
        raise kind(f"{title}: {error}") from None
    fields: tuple[LayerField, ...] | None = None
    note = None
    try:
        fields = tuple(receptive_fields(model, input_sizes=input_size))
    except ValueError as error:
        note = f"what its units see is not known: {error}"
    sizes = fields[0].output_sizes if fields else cost.layers[0].output_shape[:-1]
    return Inspection(title, tuple(int(s or 0) for s in sizes), cost, fields, note, example)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if part else ""


def _count(number: float, step: int = 1000, units: tuple[str, ...] = ("", "k", "M", "G", "T")) -> str:
    """Return a number in three digits and a unit; nothing for none."""
    if not number:
        return ""
    for unit in units:
        if number < step or unit == units[-1]:
            break
        number /= step
    digits = 0 if number == int(number) or number >= 100 else 1
    return f"{number:.{digits}f} {unit}".strip()


def _seen(field: LayerField | None) -> list[str]:
    if field is None:
        return ["", "", ""]
    if field.axes is None:
        return ["everything", "", ""]
    return [_sizes([getattr(axis, name) for axis in field.axes]) for name in ("size", "jump", "center")]


def _sizes(numbers: list[Fraction]) -> str:
    """Return one number if it holds for all axes, and else one an axis."""
    texts = [f"{float(number):g}" for number in numbers]
    return texts[0] if len(set(texts)) == 1 else " x ".join(texts)


def _plain(cost: LayerCost) -> dict[str, Any]:
    return asdict(cost) | {"output_shape": list(cost.output_shape), "parameters": cost.parameters}


def _field(field: LayerField | None) -> dict[str, list[float]] | str | None:
    if field is None or field.axes is None:
        return None if field is None else "everything"
    names = ("size", "jump", "start", "center")
    return {name: [_number(getattr(axis, name)) for axis in field.axes] for name in names}


def _number(value: Fraction) -> float:
    return int(value) if value.denominator == 1 else float(value)

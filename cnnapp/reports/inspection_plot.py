"""Draw what a network is made of: what it costs from layer to layer, and how much of the image its units see."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from cnnapp.reports.inspection import Inspection
from layers.analysis.cost import LayerCost
from layers.analysis.receptive_field import LayerField
from pipelines.core.errors import DataError

__all__ = ["draw"]

_INK, _QUIET, _BLUE = "#222222", "#8a8f98", "#3567b0"
_LONGEST = 48
_BOXES = 8


def draw(inspection: Inspection, path: Path) -> None:
    """Draw an inspection: bars of the costs, the growth of the receptive field, and fields over an image.

    Layers that cost nothing and see what the layer before sees are left out; of very deep networks, so are those in
    between.

    Args:
        inspection: of the model.
        path: of the picture, a PNG.

    Raises:
        DataError: if it cannot be written.
    """
    rows = _chosen(inspection)
    boxes = inspection.fields is not None and len(inspection.input_sizes) == 2
    height = max(4.6, 1.7 + 0.27 * len(rows))
    figure = Figure(figsize=(15.5 if boxes else 11.0, height), layout="constrained", dpi=110)
    figure.suptitle(_title(inspection), x=0.012, ha="left", fontsize=13, color=_INK)
    widths = [1.0, 1.0, 1.0, 1.3] + ([2.4] if boxes else [])
    grid = figure.add_gridspec(1, len(widths), width_ratios=widths, wspace=0.04)
    bars = [figure.add_subplot(grid[0, column]) for column in range(4)]
    _draw_bars(bars[:3], [cost for cost, _ in rows])
    _draw_growth(bars[3], rows, max(inspection.input_sizes, default=1))
    if boxes:
        _draw_boxes(figure.add_subplot(grid[0, 4]), inspection)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def _title(inspection: Inspection) -> str:
    total = inspection.cost.total
    sizes = " x ".join(map(str, inspection.input_sizes))
    return (
        f"{inspection.title} on {sizes}: {total.parameters:,} parameters, {total.multiply_adds / 1e6:,.4g} million "
        f"multiply-adds, {total.activation_bytes / 2**20:,.3g} MiB of activations an image"
    )


def _chosen(inspection: Inspection) -> list[tuple[LayerCost, LayerField | None]]:
    """Return the layers that do something, at most `_LONGEST` of them, evenly spread."""
    fields: Sequence[LayerField | None] = inspection.fields or (None,) * len(inspection.cost.layers)
    rows, before = [], None
    for cost, field in zip(inspection.cost.layers, fields, strict=True):
        axes = field and field.axes
        if cost.multiply_adds or cost.parameters > inspection.cost.total.parameters / 100 or axes != before:
            rows.append((cost, field))
        before = axes
    rows = rows[1:] if len(rows) > 1 and not rows[0][0].multiply_adds else rows  # the input
    if len(rows) <= _LONGEST:
        return rows
    return [rows[index] for index in np.linspace(0, len(rows) - 1, _LONGEST).round().astype(int)]


def _draw_bars(plots: list[Any], rows: list[LayerCost]) -> None:
    places = range(len(rows))
    columns = (
        ("parameters", [row.parameters for row in rows], 1),
        ("multiply-adds, millions", [row.multiply_adds for row in rows], 1e6),
        ("activations, KiB", [row.activation_bytes for row in rows], 1024),
    )
    for plot, (title, numbers, unit) in zip(plots, columns, strict=True):
        values = [number / unit for number in numbers]
        plot.barh(places, values, color=_BLUE, height=0.7)
        _as_list(plot, title, len(rows))
        plot.set_xlim(0, max(*values, 1e-9) * 1.5)
        for place, value in zip(places, values, strict=True):
            if value:
                text = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"
                plot.text(value + max(values) * 0.02, place, text, va="center", fontsize=7.5, color=_INK)
    names = [row.name if len(row.name) <= 34 else f"…{row.name[-33:]}" for row in rows]
    plots[0].set_yticks(list(places), names, fontsize=8.5)


def _draw_growth(plot: Any, rows: list[tuple[LayerCost, LayerField | None]], side: int) -> None:
    """Draw the size of the receptive field from layer to layer, beside the size of the image."""
    known = [(place, field) for place, (_, field) in enumerate(rows) if field is not None]
    seen = [(place, float(max(axis.size for axis in field.axes))) for place, field in known if field.axes]
    whole = [place for place, field in known if field.axes is None]
    _as_list(plot, "receptive field, pixels", len(rows))
    if not known:
        plot.text(0.5, 0.5, "not known", ha="center", color=_QUIET, transform=plot.transAxes)
        return
    largest = max([side, *(size for _, size in seen)])
    plot.set_xlim(0, largest * 1.3)
    plot.axvline(side, color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    plot.plot([size for _, size in seen], [place for place, _ in seen], color=_BLUE, marker="o", markersize=4)
    for before, (place, size) in zip([0.0, *(size for _, size in seen)], seen, strict=False):
        # Above the point: the line goes on below it.
        if size != before:
            plot.text(size + largest * 0.03, place - 0.06, f"{size:g}", va="bottom", fontsize=7.5, color=_INK)
    for place in whole:
        plot.text(side, place, "everything", ha="center", va="center", fontsize=7.5, color=_INK, bbox=_halo())
    plot.set_xlabel(f"dashed: the image, {side}", fontsize=8, color=_QUIET)


def _halo() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


def _as_list(plot: Any, title: str, count: int) -> None:
    plot.set_title(title, fontsize=9.5, loc="left", color=_INK)
    plot.set_ylim(count - 0.4, -0.6)
    plot.set_yticks([])
    plot.tick_params(axis="x", labelsize=7.5, colors=_QUIET)
    plot.tick_params(axis="y", length=0)
    plot.spines[["top", "right", "left"]].set_visible(False)
    plot.spines["bottom"].set_color("#d0d4da")
    plot.xaxis.set_major_locator(MaxNLocator(3))
    plot.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e5 else f"{value:,.0f}"))
    plot.grid(axis="x", color="#eceef1", linewidth=0.8)
    plot.set_axisbelow(True)


def _draw_boxes(plot: Any, inspection: Inspection) -> None:
    """Draw what the middle unit of some layers sees, over the model's example or a grid."""
    height, width = inspection.input_sizes
    boxes = _boxes(inspection)
    low = [min([0, *(box[axis][0] for _, box in boxes)]) for axis in (0, 1)]
    high = [max([size, *(box[axis][1] for _, box in boxes)]) for axis, size in ((0, height), (1, width))]
    margin = 0.03 * max(high[0] - low[0], high[1] - low[1])
    plot.set_xlim(low[1] - margin, high[1] + margin)
    plot.set_ylim(high[0] + margin, low[0] - margin)
    plot.set_aspect("equal", anchor="N")
    plot.set_facecolor("#f1f2f4")
    plot.imshow(_background(inspection), extent=(0, width, height, 0), cmap="gray", interpolation="nearest", zorder=1)
    plot.add_patch(Rectangle((0, 0), width, height, fill=False, edgecolor=_QUIET, linewidth=1, zorder=2))
    colours = matplotlib.colormaps["turbo"](np.linspace(0.08, 0.95, max(len(boxes), 2)))
    handles = []
    for number, ((field, box), colour) in enumerate(zip(boxes, colours, strict=False)):
        (top, bottom), (left, right) = box
        # Where edges fall together, the larger box shows on both sides of the smaller one.
        style = {"edgecolor": colour, "linewidth": 1.4 + 0.3 * number, "zorder": 20 - number}
        outline = Rectangle((left, top), right - left, bottom - top, fill=False, **style)
        outline.set_label(f"{field.name}: {bottom - top:g} x {right - left:g}")
        handles.append(plot.add_patch(outline))
    plot.set_title("what a layer's middle unit sees", fontsize=9.5, loc="left", color=_INK)
    plot.tick_params(labelsize=7.5, colors=_QUIET)
    plot.spines[:].set_visible(False)
    plot.set_xlabel("pixels; around the image lies padding", fontsize=8, color=_QUIET)
    if handles:
        plot.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.11), fontsize=8, frameon=False,
            ncols=1 if max(len(handle.get_label()) for handle in handles) > 34 else 2,
        )  # fmt: skip


def _boxes(inspection: Inspection) -> list[tuple[LayerField, list[tuple[float, float]]]]:
    """Return up to `_BOXES` layers whose fields differ, and from where to where their middle units see."""
    fields = [field for field in inspection.fields or () if field.axes is not None]
    different = [b for a, b in itertools.pairwise(fields) if a.axes != b.axes]
    chosen = sorted({round(i) for i in np.linspace(0, len(different) - 1, min(_BOXES, len(different)))})
    found = []
    for field in (different[index] for index in chosen):
        spans = []
        for axis, units in zip(field.axes or (), field.output_sizes, strict=True):
            start = float(axis.start + (units or 1) // 2 * axis.jump)
            spans.append((start, start + float(axis.size)))
        found.append((field, spans))
    return found


def _background(inspection: Inspection) -> np.ndarray:
    height, width = inspection.input_sizes
    if inspection.example is None:
        cell = max(1, max(height, width) // 16)
        rows, columns = np.indices((height, width)) // cell
        return np.where((rows + columns) % 2, 245, 228).astype(np.uint8)[..., None].repeat(3, -1)
    picture = Image.open(io.BytesIO(inspection.example)).convert("RGB").resize((width, height))
    return 255 - (255 - np.asarray(picture)) // 2  # pale, so that the boxes stand out

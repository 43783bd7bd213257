"""The command line. Nothing here imports TensorFlow before a command needs it: ``cnnapp --help`` answers at once."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from cnnapp.cli.batch_predict import find_images, write_file
from cnnapp.cli.check import check
from cnnapp.cli.console import DataDir, err, out
from cnnapp.cli.explain import explain
from cnnapp.cli.export import export
from cnnapp.cli.serve import serve
from cnnapp.cli.train import train_app
from cnnapp.results.writers import coco_text, csv_text, json_text
from pipelines.core.errors import CnnAppError, ConfigError, DataError, ModelError, unknown
from pipelines.training.config import DetectionConfig

__all__ = ["app", "main"]

# Said before TensorFlow is imported anywhere: its start-up chatter helps nobody who came for an answer.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    name="cnnapp",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From labelled images to a served model. Begin with `cnnapp demo`, then `cnnapp ui`.",
)
app.add_typer(train_app, name="train")

Model = Annotated[str, typer.Argument(help="A name under saved_models/, name/version, or a path.", metavar="MODEL")]
ScalesOption = Annotated[
    str | None,
    typer.Option("--scales", help="For detection: the pyramid, such as 1,0.7,0.5.", show_default="the model's own"),
]


@app.command()
def evaluate(
    model: Model,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled images: a name or a path, as for training.", show_default="what is named on the card"
        ),
    ] = None,
    data_dir: DataDir = None,
    test: Annotated[
        str | None,
        typer.Option(help="For detection and segmentation: another set that is the test part."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation, test or all.")] = "test",
    seed: Annotated[int | None, typer.Option(help="Seed of the split.", show_default="the model's own")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder of the report.", show_default="reports/MODEL")] = None,
    scales: ScalesOption = None,
    protocol: Annotated[
        str, typer.Option(help="For detection: coco, or uiuc for precision and recall where they are equal.")
    ] = "coco",
    card: Annotated[
        bool, typer.Option("--card", help="Add what was measured and is not on the model's card to it; see above.")
    ] = False,
) -> None:
    """Measure a saved model on labelled images and write a report (report.html, report.json).

    With --card, figures that the model's card lacks, because an earlier cnnapp saved it, are added to it: curves of
    precision and recall, or calibration. The data must be those that the card names, and every figure on the card must
    come out as it stands there (to a millionth; counts exactly); else the card is left as it is. Nothing on it is ever
    changed. The figures of test and of validation images (`--split validation`) are added by a command each.

    Example: `cnnapp evaluate digits --card`
    """
    from cnnapp.prediction import predictor
    from cnnapp.reports.html_report import evaluate_to

    loaded = predictor.load(model)
    if protocol not in ("coco", "uiuc"):
        raise ConfigError(unknown("protocol", protocol, ("coco", "uiuc")))
    done = evaluate_to(
        loaded, data, data_dir, split, seed, report, protocol, test, on_card=card, **_options(scales=scales)
    )
    _print_rows(done.report.title, done.report.tables["Overview"])
    out.print(f"report: {done.folder / 'report.html'}", soft_wrap=True)
    if card:
        gained = f"gained {', '.join(done.added)}" if done.added else "had all of it already"
        out.print(f"card: the figures on it came out as they stand there; it {gained}", markup=False, soft_wrap=True)


def _options(**given: Any) -> dict[str, Any]:
    """Return the optional inputs of a model that were given on the command line."""
    if given.get("scales") is not None:
        given["scales"] = DetectionConfig.parse(scales=given["scales"]).scales
    return {name: value for name, value in given.items() if value is not None}


def _print_rows(title: str, rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(rows[0]):
        table.add_column(escape(column), no_wrap=number == 0)  # a name that is cut short names nothing
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    out.print(table)


@app.command()
def predict(
    model: Model,
    paths: Annotated[list[str], typer.Argument(help="Image files, folders, or globs such as 'photos/**/*.jpg'.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all scores to this file.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a table to this file.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for an image.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Images answered in one call.")] = 32,
    draw: Annotated[Path | None, typer.Option(help="Draw each answer into a picture in this folder.")] = None,
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="For detection: the smallest score.", show_default="the model's own"),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="For detection: how far boxes of a class may overlap (IoU).",
            show_default="the model's own",
        ),
    ] = None,
    scales: ScalesOption = None,
    coco: Annotated[
        Path | None, typer.Option(help="For detection and segmentation: write COCO's results format to this file.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="For segmentation: write each mask as a palette PNG (TIFF with --tile) into this folder."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="For large images: answer in pieces of so many pixels, such as 1024; it is the answer for the whole.",
        ),
    ] = None,
    blend: Annotated[
        bool, typer.Option("--blend", help="With --tile, where the network sees the whole image: fade between pieces.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(help="Ask a service at this URL: `cnnapp serve`, or TensorFlow Serving.", metavar="URL"),
    ] = None,
) -> None:
    """Answer for images. A file that cannot be read is reported with its reason; the exit status is then 1.

    With --tile, masks are written piece by piece; the same command goes on where one before was stopped.
    """
    import cnnapp
    from cnnapp.cli.batch_predict import Answering
    from pipelines.core.progress import Reporter

    files = list(find_images(paths))
    if server is not None and tile is not None:
        raise ConfigError("--tile: pieces are cut by whoever has the network; a service answers for whole images alone")
    loaded = cnnapp.load(model) if server is None else cnnapp.connect(server, model)
    task = loaded.card.task
    if coco is not None and task == "classification":
        raise ConfigError(f"--coco: {loaded.card.name} is for {task}; COCO's results are boxes and masks")
    if masks is not None and task != "segmentation":
        raise ConfigError(f"--masks: {loaded.card.name} is for {task}; only segmentation gives masks")
    options = _options(score_threshold=score, overlap_threshold=overlap, scales=scales)
    if blend and tile is None:
        raise ConfigError("--blend: is of pieces; give --tile too, such as --tile 1024")
    answers: list[Any] = []
    failures = []
    answering = Answering(loaded, files, masks, draw, Reporter(err))
    with contextlib.ExitStack() as stack:
        if tile is None:
            found = answering.whole(batch_size, options)
        else:
            # Kept until all outputs are written: answers of segmentation read their masks for them.
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found = answering.by_pieces(tile, blend, options, scratch)
        for name, answer in found:
            if isinstance(answer, DataError):
                failures.append({"source": name, "error": str(answer)})
                err.print(f"[red]failed[/red] {escape(str(answer))}", soft_wrap=True)
            else:
                answers.append(answer)
                out.print(_in_a_line(answer, top), markup=False, soft_wrap=True)
        if json_file is not None:
            # Where masks went to no folder of the user's, they are about to be removed.
            write_file(json_file, json_text(answers, failures, loaded.card, mask_paths=masks is not None))
        if csv_file is not None:
            write_file(csv_file, csv_text(answers, failures, loaded.card).removesuffix("\n"))
        if coco is not None:
            write_file(coco, coco_text(answers))
    if answering.undrawn:
        more = f" (and {len(answering.undrawn) - 1} more)" if len(answering.undrawn) > 1 else ""
        err.print(f"[red]failed[/red] {escape(answering.undrawn[0] + more)}", soft_wrap=True)
    if failures:
        err.print(f"{len(failures)} of {len(files)} could not be read")
    if failures or answering.undrawn:
        raise typer.Exit(1)


def _in_a_line(answer: Any, top: int) -> str:
    if hasattr(answer, "top"):
        return f"{answer.source}: " + ", ".join(f"{label} ({score:.1%})" for label, score in answer.top(top))
    return str(answer)


@app.command()
def verify(
    model: Model,
    quick: Annotated[
        bool, typer.Option("--quick", help="Answer here alone, and not by every way in: seconds instead of a minute.")
    ] = False,
    tiling: Annotated[
        bool, typer.Option("--tiling", help="Answer for an image piece by piece, too, and compare with the whole.")
    ] = False,
    tile: Annotated[int, typer.Option(min=64, help="Side of those pieces, in pixels.")] = 128,
) -> None:
    """Check a saved model: its files have their hashes, golden inputs golden outputs; a detector's scan is exact.

    The golden examples are answered by every way in: Python, TensorFlow alone in a fresh process, TensorFlow's own
    saved_model_cli, the page, and the service over HTTP.
    """
    from cnnapp.cli import cross_check
    from cnnapp.prediction import predictor

    loaded = predictor.load(model)
    out.print(f"{len(loaded.card.files)} files have the hashes on the card")
    if quick:
        out.print(f"golden examples: largest difference {loaded.verify():.3g}")
    else:
        out.print("golden examples, by every way in:")
        for found in cross_check.replay(loaded.served):
            out.print(f"  {found}", markup=False, soft_wrap=True)
    if loaded.card.task == "detection":
        out.print("all windows of an image at once, against each window alone:")
        out.print(str(loaded.certify()), markup=False, soft_wrap=True)
    if tiling:
        out.print(str(loaded.verify_tiling(tile)), markup=False, soft_wrap=True)


@app.command()
def inspect(
    model: Annotated[
        str, typer.Argument(help="A name under saved_models/, name/version, a path, or a .keras file.", metavar="MODEL")
    ],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all of it to this file; - prints it.")] = None,
    input_size: Annotated[
        str | None, typer.Option(help="Reckon with images of height x width.", show_default="the model's own")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--draw", help="Draw it into this PNG file.")] = None,
) -> None:
    """Show what a network is made of: for each layer its shape, its costs for one image, and what its units see.

    *Sees* is the side of the receptive field in pixels of the input, *jump* the pixels between neighbouring units,
    *centre* the pixel that the first unit looks at.
    """
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    from cnnapp.reports import inspection

    size = inspection.parse_size(input_size) if input_size else None
    found = inspection.inspect(model, size)
    if json_file is not None:
        text = json.dumps(found.to_json(), indent=1)
        if str(json_file) == "-":
            out.print(text, markup=False, soft_wrap=True)
        else:
            write_file(json_file, text)
    if json_file is None or str(json_file) != "-":
        _print_layers(found.title, inspection.COLUMNS, found.rows(), inspection.OPTIONAL)
    if found.note:
        err.print(f"[yellow]note[/yellow] {escape(found.note)}", soft_wrap=True)
    if picture is not None:
        from cnnapp.reports.inspection_plot import draw

        draw(found, picture)
        err.print(f"picture: {picture}", markup=False, soft_wrap=True)


def _print_layers(title: str, columns: tuple[str, ...], rows: list[list[str]], optional: tuple[int, ...]) -> None:
    widths = [max(map(len, column)) + 3 for column in zip(columns, *rows, strict=True)]
    shown = list(range(len(columns)))
    for column in optional:
        if sum(widths[index] for index in shown) > out.width:
            shown.remove(column)
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for index in shown:
        # Numbers stay in one piece; where it is still too narrow the names are folded.
        table.add_column(columns[index], justify="left" if index < 2 else "right", overflow="fold", no_wrap=index > 1)
    for row in rows[:-1]:
        table.add_row(*(escape(row[index]) for index in shown))
    table.add_section()
    table.add_row(*(escape(rows[-1][index]) for index in shown), style="bold")
    out.print(table)
    if len(shown) < len(columns):
        err.print("the window is too narrow for every column; a wider one, or --json, shows all")


@app.command("list")
def list_models() -> None:
    """List the saved models."""
    from cnnapp.prediction import model_paths
    from pipelines.artifacts.served_model import read_card

    folder = model_paths.root()
    rows = [["model", "task", "classes", "on test images", "trained on", "created"]]
    for name, numbers in model_paths.names(folder).items():
        for number in numbers:
            try:
                card = read_card(folder / name / str(number))
            except ModelError as error:
                err.print(f"[red]unreadable[/red] {escape(str(error))}", soft_wrap=True)
                continue
            test = card.metrics.get("test", {})
            kinds = (("accuracy", "accuracy {:.2%}"), ("ap50", "AP50 {:.3f}"), ("mean_iou", "mean IoU {:.3f}"))
            shown = "".join(text.format(test[kind]) for kind, text in kinds if test.get(kind) is not None)
            source = str(card.data.get("source", ""))
            rows.append([f"{name}/{number}", card.task, str(len(card.classes)), shown, source, card.created[:10]])
    if len(rows) == 1:
        out.print(f"no saved models in {folder}; train one with `cnnapp train` or `cnnapp demo`")
        return
    _print_rows(f"saved models in {folder}", rows)


app.command()(check)
app.command()(serve)
app.command()(export)
app.command()(explain)


@app.command()
def demo(
    epochs: Annotated[int | None, typer.Option(help="Fewer epochs, for a quicker look.", hidden=True)] = None,
) -> None:
    """Train the digits classifier, evaluate and export it, answer for some images, and write a report."""
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    from cnnapp.cli.demo import run

    run(out, epochs)


@app.command()
def ui(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the page.", show_default="the first that is free from 8501 on"),
    ] = None,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Open the page in the browser."""
    import importlib.util

    from cnnapp.service import ports

    with ports.hold(address, port) as listener:  # that it is taken is said here, with what to do
        port = listener.getsockname()[1]
    # The page imports this package, not the other way round; here it is only a script to start.
    found = importlib.util.find_spec("ui")
    assert found is not None
    assert found.origin is not None
    script = Path(found.origin).parent / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.address", address, "--server.headless", str(not browser).lower()]
    command += ["--browser.gatherUsageStats", "false", "--client.toolbarMode", "minimal"]
    # Become the server rather than start it: whoever stops this process stops the page.
    os.execv(sys.executable, command)


def main() -> None:
    """Run the command line; say what the user can mend in one line, without a traceback."""
    try:
        app()
    except ConfigError as error:
        err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except CnnAppError as error:
        err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

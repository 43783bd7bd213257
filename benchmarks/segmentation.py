"""Speed of segmentation: a training step, an answer, an image in pieces, each by turns with what it is held against.

- step: our training loop on the U-Net (0.49 million parameters, 128 x 128 pixels, batches of 8) over the same network
  in a plain eager PyTorch loop, and in bfloat16 over our float32. Below 1 is faster than the peer.
- answer: the saved model's `pixels` signature on images of 256 x 256 over ONNX Runtime on the same graph, exported by
  tf2onnx, one image and eight at once; classes and confidences of both are compared first.
- pieces: an image of 4,096 x 4,096 in pieces of 1,024 over the whole at once, beside the share of pixels that the halo
  adds.

    python benchmarks/segmentation.py            # all three
    python benchmarks/segmentation.py step       # one of them
    python benchmarks/segmentation.py quality    # mean IoU of short trainings in float32 and bfloat16 (10 minutes)
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable

import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

tf = import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from timing import ratios, seconds  # noqa: E402

from cnnapp.prediction import model_paths  # noqa: E402
from pipelines.artifacts.served_model import ServedModel  # noqa: E402
from pipelines.core.progress import Reporter  # noqa: E402
from pipelines.data.embedded import scenes  # noqa: E402
from pipelines.images.windowed_reader import open_raster  # noqa: E402
from pipelines.segmentation.config import SegmentationConfig  # noqa: E402
from pipelines.segmentation.dense_prediction import LabelSpec  # noqa: E402
from pipelines.segmentation.loss import mask_loss, mask_metrics  # noqa: E402
from pipelines.segmentation.network import build  # noqa: E402
from pipelines.segmentation.tiled import Mosaic  # noqa: E402
from pipelines.segmentation.trainer import train  # noqa: E402
from pipelines.training import loop as training  # noqa: E402
from pipelines.training.optimizers import make_optimizer  # noqa: E402

SIDE, BATCH, CLASSES, STEPS = 128, 8, 11, 6
FILTERS, DEPTH = 16, 3


# === A training step ===


def ours(precision: str, images: np.ndarray, masks: np.ndarray) -> Callable[[], None]:
    """Return some steps of our loop."""
    config = SegmentationConfig.parse(precision=precision, learning_rate=1e-3, loss="cross_entropy")
    keras.config.set_dtype_policy(precision)
    spec = LabelSpec(1.0, 1, 8, 1)
    network = build(config, spec, CLASSES)
    assert 4.5e5 < network.count_params() < 5.5e5
    data = tf.data.Dataset.from_tensors((images, masks, np.ones(BATCH, "float32"))).repeat()
    plan = training.Plan(lambda start: data.prefetch(2), data.take(1), STEPS, BATCH, 1)
    optimizer = make_optimizer(config, 100_000)
    optimizer.build(network.trainable_variables)
    loss = mask_loss(config.loss, np.ones(CLASSES, "float32"), spec.stride)
    loop = training.Loop(
        network, optimizer, loss, mask_metrics(CLASSES, spec.stride), plan, tf.distribute.get_strategy()
    )
    keras.config.set_dtype_policy("float32")
    return lambda: loop.train(STEPS) and None


def in_torch(images: np.ndarray, masks: np.ndarray) -> Callable[[], None]:
    """Return as many steps of a plain eager PyTorch loop over the same network."""
    import torch
    from torch import nn

    def stage(before: int, filters: int) -> nn.Module:
        parts: list[nn.Module] = []
        for inputs in (before, filters):
            parts += [nn.Conv2d(inputs, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
        return nn.Sequential(*parts)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [FILTERS * 2**number for number in range(DEPTH + 1)]
            self.down = nn.ModuleList(stage(a, b) for a, b in zip([1, *widths], widths, strict=False))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in widths[:-1])
            self.fine = nn.ModuleList(stage(2 * width, width) for width in widths[:-1])
            self.scores = nn.ModuleList(nn.Conv2d(width, CLASSES, 1) for width in widths)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = (x - 127.5) / 64.0
            maps = []
            for number, down in enumerate(self.down):
                x = down(nn.functional.max_pool2d(x, 2) if number else x)
                maps.append(x)
            logits = self.scores[DEPTH](x)
            for number in reversed(range(DEPTH)):
                x = self.fine[number](torch.cat([maps[number], self.up[number](x)], dim=1))
                logits = nn.functional.interpolate(logits, scale_factor=2, mode="bilinear") + self.scores[number](x)
            return logits

    network = UNet().train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    criterion = nn.CrossEntropyLoss()
    x, y = torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(masks).long()

    def steps() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            outputs = network(x)
            loss = criterion(outputs, y)
            loss.backward()
            optimizer.step()
            float(loss)

    return steps


def step(rounds: int) -> None:
    """Compare training steps."""
    dice = np.random.default_rng(0)
    images = dice.uniform(0, 255, (BATCH, SIDE, SIDE, 1)).astype("float32")
    masks = dice.integers(0, CLASSES, (BATCH, SIDE, SIDE)).astype("uint8")
    calls = [in_torch(images, masks), ours("float32", images, masks), ours("mixed_bfloat16", images, masks)]
    times = seconds(calls, rounds)
    shown = np.median(times, axis=0) / STEPS * 1000
    print(f"step      PyTorch {shown[0]:.0f} ms, ours {shown[1]:.0f} ms, in bfloat16 {shown[2]:.0f} ms")
    _say("ours over PyTorch", np.median(times[:, 1] / times[:, 0]), 1.0)
    _say("bfloat16 over float32", np.median(times[:, 2] / times[:, 1]), 1 / 1.4)


# === An answer ===


def answer(rounds: int, model: str) -> None:
    """Compare answers with ONNX Runtime's on the same graph."""
    import onnxruntime
    import tf2onnx

    served = ServedModel(model_paths.resolve(model))
    dice = np.random.default_rng(0)

    @tf.function(input_signature=[tf.TensorSpec([None, 256, 256, 3], tf.uint8, name="images")])
    def graph(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = served.run("pixels", images=images)
        return found["class_map"], found["confidence"]

    exported, _ = tf2onnx.convert.from_function(graph, graph.input_signature, opset=17)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported.SerializeToString(), options, ["CPUExecutionProvider"])
    for size in (1, 8):
        images = _crowd(256)[None].repeat(size, 0) ^ dice.integers(0, 8, (size, 256, 256, 3), dtype=np.uint8)
        held = tf.constant(images)
        peer, own = session.run(None, {"images": images}), graph(held)
        same = float((peer[0] == own[0].numpy()).mean())
        assert same > 0.9999, same
        np.testing.assert_allclose(peer[1], own[1].numpy(), atol=1e-3)

        def onnx(images: np.ndarray = images) -> object:
            return session.run(None, {"images": images})

        def tensorflow(held: tf.Tensor = held) -> object:
            return served.run("pixels", images=held)["class_map"].numpy()

        _say(f"answer    {size} of 256 x 256 over ONNX Runtime", ratios([onnx, tensorflow], rounds)[1], 1.1)


# === An image in pieces ===


def pieces(rounds: int, model: str) -> None:
    """Compare a large image in pieces with the whole at once."""
    served = ServedModel(model_paths.resolve(model))
    image = _crowd(4096)
    held = tf.constant(image[None])
    with open_raster(image) as raster:
        mosaic = Mosaic(served, raster, 1024)
        windows = [[part.window[1] - part.window[0] for part in parts] for parts in (mosaic.rows, mosaic.columns)]
        halo = sum(windows[0]) * sum(windows[1]) / image[..., 0].size

        def whole() -> object:
            return served.run("pixels", images=held)["class_map"].numpy()

        np.testing.assert_array_equal(mosaic.whole().class_map, whole()[0])  # type: ignore[index]
        found = ratios([whole, mosaic.whole], rounds)[1]
    print(f"pieces    {mosaic.pieces} of 1,024 x 1,024 with their halo hold {halo:.3f} times the pixels of the image")
    _say("4,096 x 4,096 in pieces over the whole", found, halo + 0.1)


def _crowd(side: int) -> np.ndarray:
    """Return scenes of digits side by side, uint8 of shape (side, side, 3)."""
    one = np.vstack([np.hstack([scenes.scene(0, "test", 4 * i + j).image for j in range(4)]) for i in range(4)])
    copies = -(-side // one.shape[0]), -(-side // one.shape[1])
    return np.tile(one, copies)[:side, :side, None].repeat(3, -1)


def quality(epochs: int) -> None:
    """Train the shipped network shortly in both precisions."""
    for precision in ("float32", "mixed_bfloat16"):
        with tempfile.TemporaryDirectory() as root:
            options = {"stride": 2, "filters": 32, "depth": 2, "upsampling": "learned", "optimizer": "muon", "zoom": 1}
            options |= {"class_weights": "none", "light": 0.05, "epochs": epochs, "precision": precision}
            trained = train("quality", root=root, reporter=Reporter(quiet=True), data="scenes", **options)
        found = trained.card.metrics["validation"]["mean_iou"]
        print(f"quality   {precision}: validation mean IoU {found:.4f} in {trained.history.seconds:.0f} s")


def _say(what: str, found: float, target: float) -> None:
    print(f"{what}: {found:.3f} (at most {target:.3f}{'' if found <= target else '; MISSED'})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", nargs="*", default=[], help="step, answer, pieces or quality (default: the first three)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of timing (default: 15)")
    parser.add_argument("--model", default="digit-segmentation", help="name or path of a saved model")
    parser.add_argument("--epochs", type=int, default=2, help="of each training for quality (default: 2)")
    arguments = parser.parse_args()
    chosen = arguments.what or ["step", "answer", "pieces"]
    if "step" in chosen:
        step(arguments.rounds)
    if "answer" in chosen:
        answer(arguments.rounds, arguments.model)
    if "pieces" in chosen:
        pieces(5, arguments.model)
    if "quality" in chosen:
        quality(arguments.epochs)


if __name__ == "__main__":
    main()

"""The paper's table: six architectures, T = 32 to 256, three ways to convert, two alphabets.

python -m benchmarks.paper_table [--methods paper,exponential,ours] [--spikes binary,ternary]
                                 [--limit 500] [--imagenet DIR --weights DIR] [NAME...]

paper:        `--preset paper`, the paper's own configuration;
exponential:  the best of a grid of exponential schedules for each T, by the error on calibration
              images, scaled to every channel's range;
ours:         the default of `convert`, once for each T;
spikingjelly: rate coding of SpikingJelly's ann2snn, where it is installed; its IF neurons replace
              ReLU modules only, max pooling stays as it is.

Networks are those for digits, or with --imagenet those of full size: DIR holds one folder of
images for each class, --weights one NAME.pth for each network. Rows are added to
benchmarks/results/paper_table.json one by one; what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import onnx2snn
from benchmarks import accuracy, imagenet
from benchmarks.results import read, write
from models.digits import FOLDER, NAMES
from models.zoo import build, entry, export
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.evaluation import evaluate

FILE = "paper_table"
TIME_STEPS = (32, 64, 128, 256)
CALIBRATION = 256
SEARCH = 32
BATCH = 50

Row = dict[str, Any]
Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A network and its images, labels included."""

    name: str
    path: str
    calibration: Arrays
    test: Arrays

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The trained network."""
        return onnx.load(self.path)

    def convert(self, samples: int = CALIBRATION, **settings: Any) -> onnx.ModelProto:
        """The network as a spiking one."""
        image = self.calibration["image"][:samples]
        return onnx2snn.convert(self.path, {"image": image}, **settings)

    def rows(self, snn: onnx.ModelProto, at: Sequence[int]) -> list[Row]:
        """What the spiking network does on the test images after each of the steps `at`."""
        session = onnx2snn.SpikingSession(snn)
        feed, labels = {"image": self.test["image"]}, self.test["labels"]
        ann = open_onnxruntime(self.model)
        result = evaluate(session, ann, feed, labels, at, batch_size=BATCH)
        return [{"ann_top1": result.ann_top1, **vars(row)} for row in result.rows]

    def error(self, snn: onnx.ModelProto) -> float:
        """Relative error of the outputs on calibration images."""
        session = onnx2snn.SpikingSession(snn)
        feed = {"image": self.calibration["image"][:SEARCH]}
        ann = open_onnxruntime(self.model)
        return evaluate(session, ann, feed, None, [session.time_steps]).rows[0].relative_error


def digits(name: str, limit: int) -> Case:
    """A network for digits."""
    parts = {part: dict(np.load(FOLDER / f"digits_{part}.npz")) for part in ("calibration", "test")}
    test = {key: array[:limit] for key, array in parts["test"].items()}
    return Case(name, str(FOLDER / f"{name}.onnx"), parts["calibration"], test)


def full_size(name: str, limit: int, images: Path, weights: Path | None, place: Path) -> Case:
    """A network of full size on ImageNet; without weights, from a seed, to try the way."""
    checkpoint = weights / f"{name}.pth" if weights else None
    path = place / f"{name}.onnx"
    export(build(name, checkpoint=checkpoint), path, entry(name).image_shape)
    files = imagenet.chosen_files(images, CALIBRATION + limit)
    held = max(len(files) - limit, 1)
    parts = []
    for chosen in (files[:held], files[held:] or files):
        pixels, labels = imagenet.read_images(chosen, imagenet.TRANSFORMS[name])
        parts.append({"image": pixels, "labels": labels})
    return Case(name, str(path), *parts)


def paper(case: Case, spikes: str, wanted: Sequence[int]) -> Iterator[Row]:
    """One conversion for all T, since the schedule does not depend on it."""
    samples = len(case.calibration["image"])
    snn = case.convert(samples, preset="paper", spikes=spikes, time_steps=max(wanted))
    yield from case.rows(snn, wanted)


def exponential(case: Case, spikes: str, wanted: Sequence[int]) -> Iterator[Row]:
    """The best exponential schedule for each T."""
    for time_steps in wanted:

        def error(settings: Mapping[str, Any]) -> float:
            return case.error(case.convert(SEARCH, spikes=spikes, **settings))

        best = min(accuracy._exponentials(time_steps), key=error)
        for row in case.rows(case.convert(spikes=spikes, **best), [time_steps]):
            yield {**row, "step_size": best["step_size"], "decay": best["decay"]}


def ours(case: Case, spikes: str, wanted: Sequence[int]) -> Iterator[Row]:
    """The default of `convert`."""
    for time_steps in wanted:
        yield from case.rows(case.convert(spikes=spikes, time_steps=time_steps), [time_steps])


def spikingjelly(case: Case, spikes: str, wanted: Sequence[int]) -> Iterator[Row]:
    """Rate coding by SpikingJelly; nothing where it is missing or spikes are ternary."""
    from benchmarks.spikingjelly_baseline import outputs_over_time

    if spikes != "binary":
        return
    (ann,) = open_onnxruntime(case.model).run(None, {"image": case.test["image"]})
    labels = case.test["labels"]
    top1 = 100 * float((ann.argmax(1) == labels).mean())
    found = outputs_over_time(case.name, case.calibration["image"], case.test["image"], wanted)
    for time_steps, logits in found:
        yield {
            "ann_top1": top1,
            "time_steps": time_steps,
            "top1": 100 * float((logits.argmax(1) == labels).mean()),
            "agreement": 100 * float((logits.argmax(1) == ann.argmax(1)).mean()),
            "relative_error": float(np.linalg.norm(logits - ann) / np.linalg.norm(ann)),
        }


METHODS: dict[str, Callable[[Case, str, Sequence[int]], Iterator[Row]]] = {
    method.__name__: method for method in (paper, exponential, ours, spikingjelly)
}


def measure(case: Case, method: str, spikes: str, rows: list[Row]) -> Iterator[Row]:
    """The rows of a network, method and alphabet that are missing from `rows`."""
    key = {
        "model": case.name,
        "method": method,
        "spikes": spikes,
        "images": len(case.test["image"]),
    }
    done = {r["time_steps"] for r in rows if all(r.get(k) == v for k, v in key.items())}
    wanted = [t for t in TIME_STEPS if t not in done]
    start = time.perf_counter()
    for row in METHODS[method](case, spikes, wanted) if wanted else ():
        yield {**key, **row, "seconds": round(time.perf_counter() - start, 1)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the paper's table.")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--methods", default="paper,exponential,ours")
    parser.add_argument("--spikes", default="binary,ternary")
    parser.add_argument("--limit", type=int, default=500, help="test images")
    parser.add_argument("--imagenet", type=Path, help="folder of class folders")
    parser.add_argument("--weights", type=Path, help="folder of NAME.pth")
    return parser.parse_args()


def main() -> None:
    """Measure what is missing, and write the file after every row."""
    given = _arguments()
    names = given.names or (list(imagenet.TRANSFORMS) if given.imagenet else list(NAMES))
    rows = read(FILE, missing=[])
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            case = (
                full_size(name, given.limit, given.imagenet, given.weights, Path(place))
                if given.imagenet
                else digits(name, given.limit)
            )
            for method in given.methods.split(","):
                for spikes in given.spikes.split(","):
                    for row in measure(case, method, spikes, rows):
                        rows.append(row)
                        print(row, flush=True)
                        write(FILE, "python -m benchmarks.paper_table", rows)


if __name__ == "__main__":
    main()

"""The table of bad input: what is wrong, the command, its exit status, what its line must say.

Every row starts from a folder with a sound model `m.onnx`, its spiking file `s.onnx` (T = 4) and
data `d.npz`, which `files` replaces or adds to. Status 1: bad model or data; 2: usage.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from bad_inputs import (
    bad_metadata,
    cyclic,
    damaged,
    external,
    filled,
    holding,
    image,
    linear,
    link_outside,
    nan_weight,
    newer_domain,
    npy,
    renamed_output,
    with_attribute,
    with_operator,
    with_parameter,
    without_parameter,
    zipped,
)
from command_models import model, partly_analog

Content = object | Callable[[], object]


@dataclass(frozen=True)
class Row:
    name: str
    command: str
    status: int
    fragments: tuple[str, ...]
    files: dict[str, Content] = field(default_factory=dict)
    prepare: Callable[[Path], object] | None = None


CONVERT = "convert m.onnx --calibration d.npz -o out.onnx"
RUN = "run s.onnx --input d.npz --output out.npz"
EVALUATE = "evaluate s.onnx --data d.npz --json out.json"
EXPORT = "export s.onnx --to onnx-loop -o out.onnx"
INSPECT = "inspect m.onnx --json out.json"
OUTSIDE = ("m.onnx", "tensor 'w1'", "outside the model's folder", "beside the model")
AGAIN = ("act", "convert the model again")


def of_model(name: str, content: Content, *fragments: str, command: str = CONVERT) -> Row:
    return Row(f"model: {name}", command, 1, fragments, {"m.onnx": content})


def of_file(name: str, content: Content, *fragments: str, command: str = RUN) -> Row:
    return Row(f"spiking file: {name}", command, 1, fragments, {"s.onnx": content})


def of_data(name: str, content: Content, *fragments: str, command: str = RUN) -> Row:
    return Row(f"data: {name}", command, 1, fragments, {"d.npz": content})


def of_usage(name: str, command: str, *fragments: str, **more: object) -> Row:
    return Row(f"usage: {name}", command, 2, fragments, **more)


ROWS = (
    of_model("no ONNX", b"hello, this is no model\n" * 9, "m.onnx", "not an ONNX file"),
    of_model("cut short", lambda: model().SerializeToString()[:200], "m.onnx", "export or copy"),
    of_model("empty", b"", "m.onnx", "empty", "copy the model again"),
    of_model("pickle", pickle.dumps({"w": 1}), "m.onnx", "torch.onnx.export"),
    of_model("no ONNX, inspected", b"hello", "m.onnx", "not an ONNX file", command=INSPECT),
    Row("model: a folder", "convert . -o out.onnx", 1, ("not a file", ".onnx file itself")),
    Row("model: missing", "convert no.onnx", 1, ("no.onnx", "no such file", "check the path")),
    Row("model: missing, inspected", "inspect no.onnx", 1, ("no.onnx", "no such file")),
    Row("model: missing, run", "run no.onnx --input d.npz", 1, ("no.onnx", "no such file")),
    of_model("old opset", lambda: model(opset=6), "opset 6 is older than 7", "newer opset"),
    of_model("new opset", lambda: model(opset=999), "opset 999 is newer", "older opset"),
    of_model("operator", lambda: with_operator("Foo"), "'odd'", "'Foo'", "does not exist"),
    of_model("domain", lambda: with_operator("Foo", "x.y"), "'odd'", "'x.y'", "local function"),
    of_model("external", lambda: external("w.bin"), "'w1'", "'w.bin' is missing", "beside"),
    of_model("external ../", lambda: external("../w.bin"), *OUTSIDE),
    of_model("external absolute", lambda: external("/etc/passwd"), *OUTSIDE),
    Row(
        *("model: external symlink", CONVERT, 1, OUTSIDE),
        {"m.onnx": lambda: external("link.bin")},
        link_outside,
    ),
    of_model("cycle", cyclic, "'first'", "'second'", "cycle"),
    of_model("NaN weights", nan_weight, "'w1' holds NaN", "export the model again"),
    of_model("linear", linear, "no node of the model became spiking", "onnx2snn inspect"),
    of_model(
        "strict",
        partly_analog,
        "'top' (Det)",
        "without --strict",
        command=f"{CONVERT} --strict",
    ),
    Row("model: all excluded", f"{CONVERT} --exclude Relu", 1, ("no node", "onnx2snn inspect")),
    Row(
        "model: spiking already",
        "convert s.onnx -o out.onnx",
        1,
        ("spiking file already", "made from"),
    ),
    Row(
        "model: plain, run",
        "run m.onnx --input d.npz --output out.npz",
        1,
        ("m.onnx", "no spiking", "onnx2snn convert"),
    ),
    Row(
        "model: plain, evaluated",
        "evaluate m.onnx --data d.npz --json out.json",
        1,
        ("m.onnx", "no spiking", "onnx2snn convert"),
    ),
    Row(
        *("model: another ANN", f"{EVALUATE} --ann m.onnx", 1, ("does not fit", "--ann")),
        {"m.onnx": renamed_output},
    ),
    of_file(
        "newer version", lambda: damaged(newer_domain), "s.onnx", "version 2", "upgrade onnx2snn"
    ),
    of_file(
        "unknown attribute", lambda: with_attribute("speed", 3), "s.onnx", "speed", "SpikingRelu"
    ),
    of_file("attribute's type", lambda: with_attribute("spikes", 3), "s.onnx", "spikes"),
    of_file(
        "attribute's choice",
        lambda: with_attribute("spikes", "loud"),
        "'act'",
        "'loud'",
        "binary, ternary",
    ),
    of_file("dynamics", lambda: with_attribute("dynamics", "x"), "'act'", "'dynamics'", "signgd"),
    of_file(
        "missing parameter", lambda: damaged(without_parameter), "'act/output/step_sizes'", "'act'"
    ),
    of_file(
        "NaN step",
        lambda: with_parameter("step_sizes", filled(np.nan)),
        "act/output/step_sizes",
        "NaN",
    ),
    of_file(
        "infinite step", lambda: with_parameter("step_sizes", filled(np.inf)), *AGAIN, "finite"
    ),
    of_file("negative step", lambda: with_parameter("step_sizes", filled(-1)), *AGAIN, "positive"),
    of_file("scale 0", lambda: with_parameter("scale", filled(0)), *AGAIN, "positive"),
    of_file(
        "shape of steps", lambda: with_parameter("step_sizes", lambda a: a[:, :3]), *AGAIN, "[3]"
    ),
    of_file("shape of estimate", lambda: with_parameter("initial", lambda a: a[:3]), *AGAIN, "[3]"),
    of_file(
        "shape of scale", lambda: with_parameter("scale", lambda a: np.ones(5, "f")), *AGAIN, "[5]"
    ),
    of_file("no step", lambda: with_parameter("step_sizes", lambda a: a[:0]), *AGAIN, "[0, 8]"),
    of_file("integer steps", lambda: with_parameter("step_sizes", lambda a: a.astype("i8")), "act"),
    of_file(
        "metadata",
        lambda: damaged(bad_metadata),
        "onnx2snn.refusals",
        "convert the model again",
        command="inspect s.onnx --json out.json",
    ),
    of_data("wrong name", image(image=None, picture=1.0), "'picture'", "'image'"),
    of_data(
        "wrong name, evaluated",
        image(image=None, picture=1.0),
        "'image'",
        "'picture'",
        command=EVALUATE,
    ),
    of_data("wrong name, calibration", image(image=None, x=1.0), "'image'", "'x'", command=CONVERT),
    of_data("no input", image(image=None), "'image' is missing"),
    of_data("integers", image(image=np.ones((8, 4), int)), "'image'", "int64", "float32"),
    of_data("text", image(image=np.full((8, 4), "a")), "'image'", "float32"),
    of_data("rank", image(image=np.ones((8, 2, 2), "f")), "'image'", "[8, 2, 2]", "[N, 4]"),
    of_data("shape", image(image=np.ones((8, 5), "f")), "'image'", "[8, 5]", "[N, 4]"),
    of_data(
        "shape, evaluated", image(image=np.ones((8, 5), "f")), "'image'", "[N, 4]", command=EVALUATE
    ),
    of_data(
        "text, evaluated", image(image=np.full((8, 4), "a")), "'image'", "float32", command=EVALUATE
    ),
    of_data(
        "shape, calibration",
        image(image=np.ones((8, 5), "f")),
        "'image'",
        "[8, 5]",
        command=CONVERT,
    ),
    of_data("NaN", image(image=holding(np.nan)), "'image'", "NaN"),
    of_data(
        "infinite, evaluated", image(image=holding(np.inf)), "'image'", "infinite", command=EVALUATE
    ),
    of_data("NaN, calibration", image(image=holding(np.nan)), "'image'", "NaN", command=CONVERT),
    of_data("too large", image(image=holding(1e300)), "'image'", "too large"),
    of_data("labels' length", image(labels=[1, 2]), "'labels'", "[2]", "[8]", command=EVALUATE),
    of_data("labels' rank", image(labels=[[1]] * 8), "'labels'", "[8, 1]", "[8]", command=EVALUATE),
    of_data(
        "labels' type",
        image(labels=np.ones(8)),
        "'labels'",
        "float64",
        "integers",
        command=EVALUATE,
    ),
    of_data("no sample", image(image=np.ones((0, 4), "f")), "no sample", command=CONVERT),
    of_data(
        "no sample, evaluated",
        image(image=np.ones((0, 4), "f"), labels=None),
        "no sample",
        command=EVALUATE,
    ),
    of_data("no npz", b"image: 1 2 3", "d.npz", ".npz", command=CONVERT),
    of_data("npy", lambda: npy(np.ones((8, 4), "f")), "d.npz", "numpy.savez", command=CONVERT),
    of_data("not arrays", lambda: zipped(b"some text"), "d.npz", "'image'", "numpy.savez"),
    of_data("damaged zip", lambda: zipped(b"some text")[:-30], "d.npz", ".npz"),
    of_data(
        "objects", {"image": np.asarray([{"a": 1}], object)}, "d.npz", "pickle", command=CONVERT
    ),
    Row("data: missing", "run s.onnx --input no.npz", 1, ("no.npz", "no such file", ".npz")),
    of_usage("T of 0", f"{CONVERT} --time-steps 0", "--time-steps", "0"),
    of_usage("negative T", f"{RUN} --time-steps -3", "--time-steps", "-3"),
    of_usage("T no integer", f"{CONVERT} --time-steps 2.5", "--time-steps", "2.5"),
    of_usage(
        "T beyond the file", f"{RUN} --time-steps 5", "5 time steps", "holds", "4", "--time-steps 5"
    ),
    of_usage("T beyond the file, exported", f"{EXPORT} --time-steps 5", "holds", "--time-steps 5"),
    of_usage("export form", "export s.onnx --to tensorrt -o out.nir", "--to", "nir", "onnx-loop"),
    of_usage("export, no output", "export s.onnx --to onnx-loop", "-o"),
    of_usage(
        "export, output is the model",
        "export s.onnx --to onnx-loop -o s.onnx --force",
        "s.onnx",
        "model itself",
        "-o",
    ),
    of_usage("output exists, export", EXPORT, "out.onnx exists", files={"out.onnx": b"mine"}),
    of_file("plain, exported", model, "no spiking neurons", "onnx2snn convert", command=EXPORT),
    of_file("no ONNX, exported", b"hello", "s.onnx", "not an ONNX file", command=EXPORT),
    of_usage("--at beyond the file", f"{EVALUATE} --at 4,8", "8 time steps", "--time-steps 8"),
    of_usage("--at garbage", f"{RUN} --at 2,x", "'2,x'", "8,16,32"),
    of_usage("--at zero", f"{EVALUATE} --at 0,2", "'0,2'", "8,16,32"),
    of_usage("--at and T", f"{RUN} --at 2 --time-steps 2", "--at", "--time-steps"),
    of_usage("output exists", CONVERT, "out.onnx exists", "--force", files={"out.onnx": b"mine"}),
    of_usage("output exists, run", RUN, "out.npz exists", "--force", files={"out.npz": b"mine"}),
    of_usage("report exists", INSPECT, "out.json exists", "--force", files={"out.json": b"mine"}),
    of_usage(
        "report exists, evaluated",
        EVALUATE,
        "out.json exists",
        "--force",
        files={"out.json": b"mine"},
    ),
    of_usage(
        "output is the model", "convert m.onnx -o m.onnx --force", "m.onnx", "model itself", "-o"
    ),
    of_usage("no folder", "convert m.onnx -o a/out.onnx", "a/out.onnx", "no folder a"),
    of_usage(
        "a file for a folder",
        "convert m.onnx -o d.npz/out.onnx",
        "d.npz/out.onnx",
        "no folder d.npz",
    ),
    of_usage("output is a folder", "convert m.onnx -o .", "folder", "name a file"),
    of_usage(
        "no permission",
        "convert m.onnx -o shut/out.onnx",
        "shut/out.onnx",
        "permission",
        prepare=lambda f: (f / "shut").mkdir(0o555),
    ),
    of_usage("step size calibrated", f"{CONVERT} --step-size 0.1", "--step-size", "exponential"),
    of_usage("decay calibrated", f"{CONVERT} --decay 0.9", "--decay", "--schedule exponential"),
    of_usage("decay elsewhere", f"{CONVERT} --schedule inverse --decay 0.9", "--decay", "inverse"),
    of_usage("decay of 2", f"{CONVERT} --schedule exponential --decay 2", "decay 2.0", "(0, 1]"),
    of_usage(
        "step size 0", f"{CONVERT} --schedule constant --step-size 0", "step size 0.0", "positive"
    ),
    of_usage("schedule", f"{CONVERT} --schedule slow", "--schedule", "slow", "calibrated"),
    of_usage("spikes", f"{CONVERT} --spikes loud", "--spikes", "loud", "ternary"),
    of_usage("precision", f"{RUN} --precision float12", "--precision", "float12", "float64"),
    of_usage("device", f"{RUN} --device tpu", "--device", "tpu", "cpu"),
    of_usage("no GPU", f"{RUN} --device cuda", "cuda", "--device cpu"),
    of_usage("batch size", f"{EVALUATE} --batch-size 0", "--batch-size", "0"),
    of_usage("limit", f"{EVALUATE} --limit -1", "--limit", "-1"),
    of_usage("command", "transmogrify m.onnx", "transmogrify"),
    of_usage("option", "convert m.onnx --colour red", "--colour"),
    of_usage("no model", "convert", "MODEL"),
    of_usage("no data", "evaluate s.onnx", "--data"),
)

"""`make demo`: converts bundled trained networks and shows accuracy over time steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from models.digits import FOLDER

FAMILIES = ("digits_resmlp", "digits_convnext", "digits_vgg")
OUTPUT = Path(".demo")


def _onnx2snn(*arguments: str | Path) -> None:
    """Show and run one command of the command line."""
    command = ["onnx2snn", *map(str, arguments)]
    print("\n$ " + " ".join(command), flush=True)
    subprocess.run([Path(sys.executable).with_name("onnx2snn"), *command[1:]], check=True)


def main() -> None:
    """Convert, then evaluate on the 500 test images, one family after another."""
    OUTPUT.mkdir(exist_ok=True)
    for name in FAMILIES:
        model, spiking = FOLDER / f"{name}.onnx", OUTPUT / f"{name}.snn.onnx"
        calibration, test = FOLDER / "digits_calibration.npz", FOLDER / "digits_test.npz"
        settings = ("--calibration", calibration, "--time-steps", "16", "--tuning", "100")
        _onnx2snn("convert", model, "-o", spiking, *settings, "--force")
        _onnx2snn("evaluate", spiking, "--data", test, "--ann", model, "--at", "2,4,8,16")


if __name__ == "__main__":
    main()

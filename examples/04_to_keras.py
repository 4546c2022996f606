"""Export a composite as one keras.Model of standard layers, which runs where modhub is not installed.

The saved file is loaded by a fresh interpreter with keras alone, in safe mode; its answers are the composite's.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from modhub import compose

LOAD = """
import sys, keras, numpy as np
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
print("modhub was imported:", "modhub" in sys.modules)
"""


def main() -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        clf = compose(["cifar10/r20:cat", "cifar100/r20:apple"], cache=Path(folder) / "cache")
        margins = clf.predict(images).margins

        model, inputs, outputs = (str(Path(folder) / name) for name in ("clf.keras", "x.npy", "margins.npy"))
        clf.to_keras().save(model)
        np.save(inputs, images)
        print(f"saved {Path(model).stat().st_size:,} bytes for {clf.classes}")

        subprocess.run([sys.executable, "-c", LOAD, model, inputs, outputs], check=True)
        print(f"largest difference of a margin: {np.abs(np.load(outputs) - margins).max():.1e}")


if __name__ == "__main__":
    main()

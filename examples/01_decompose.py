"""Decompose a trained classifier into one module per class, and read what each module keeps.

The network is a small CNN trained here on scikit-learn's handwritten digits. Decomposition looks at raw images: the
factor 1/255 that the network was trained with becomes part of the modules' input contract.
"""

import tempfile
from pathlib import Path

from modhub import decompose, load
from modhub.demo.digits import load_digits
from modhub.engine.training import train_small_cnn


def main() -> None:
    data = load_digits()
    model = train_small_cnn(data.train, seed=0, epochs=6)

    # A weight counts as large from the 95th percentile of its layer on; few networks have one above the default of 0.5.
    decomposition = decompose(
        model,
        data.train.x,
        data.train.y,
        classes=data.train.classes,
        name="demo/digits",
        rescale=1 / 255,
        validation=(data.validation.x, data.validation.y),
        backtrack="input",
        delta="q95",
    )
    print(decomposition.report())

    print("\nthe module for 3, site by site:")
    for row in decomposition.report().sites:
        if row.cls == "3":
            print(
                f"  {row.site:8} {row.kept:5} of {row.nodes:5} nodes; backtracking removed {row.last_conv + row.input}"
            )

    three = decomposition.modules[3].metrics[0]
    print(f"\non {three.examples} held-out threes: recall {three.vote_recall:.0%} in the vote of all ten modules,")
    print(f"{three.own_recall:.0%} by the module alone at its own threshold")

    with tempfile.TemporaryDirectory() as folder:
        saved = decomposition.save(Path(folder) / "digits.modules")
        print(f"saved as {saved.name}/ and read back: {load(saved).modules[3].ref}")


if __name__ == "__main__":
    main()

"""A classifier made of classes of two different models, without any training of the whole.

Neither network has ever seen the other's images. The vote compares margins; every module also has its own threshold,
so that a composite may answer "none of these".
"""

import tempfile
from pathlib import Path

import numpy as np

from modhub import compose, decompose, publish
from modhub.demo.digits import load_digits
from modhub.demo.letters import load_letters
from modhub.engine.training import train_small_cnn


def main() -> None:
    origins = {"demo/digits": load_digits(), "demo/letters": load_letters()}
    with tempfile.TemporaryDirectory() as folder:
        places = {"registry": str(Path(folder) / "registry"), "cache": Path(folder) / "cache"}
        for name, data in origins.items():
            model = train_small_cnn(data.train, seed=0, epochs=8)
            decomposition = decompose(
                model, data.train.x, data.train.y, classes=data.train.classes, name=name, rescale=1 / 255
            )
            publish(decomposition, version="1.0.0", registry=places["registry"])

        clf = compose(["demo/digits:3", "demo/digits:8", "demo/letters:a"], **places)
        print(clf.plan)

        tests = [data.test.restrict([c for c in data.test.classes if c in clf.classes]) for data in origins.values()]
        images, truth = np.concatenate([t.x for t in tests]), np.concatenate([t.labels for t in tests])
        prediction = clf.predict(images)
        print(f"\n{np.mean(np.array(prediction.labels) == truth):.1%} of {len(truth)} held-out images are right")
        for i in (0, -1):
            print(f"  {truth[i]}: best two {prediction.top(2)[i]}, margins {prediction.margins[i].round(1)}")

        careful = compose(clf, reject=True, **places)
        sevens = origins["demo/digits"].test.restrict(["7"])
        rejected = np.mean(np.array(careful.predict(sevens.x).labels) == "none of these")
        print(f"with reject=True it answers 'none of these' to {rejected:.0%} of the sevens")


if __name__ == "__main__":
    main()

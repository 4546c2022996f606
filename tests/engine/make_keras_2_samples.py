"""Writes ``keras_2_samples.zip``: small networks as Keras 2 saves them, with what they answer.

Run with ``tf_keras``, which is Keras 2 under a name of its own: ``pip install tf_keras``, then
``TF_USE_LEGACY_KERAS=1 python tests/engine/make_keras_2_samples.py``. The tests need only the zip.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

L = keras.layers


class Metric(keras.metrics.Metric):
    """One of a person's own, which no reader knows."""

    def update_state(self, *arguments: Any, **options: Any) -> None:
        pass

    def result(self) -> float:
        return 0.0


def own_loss(truth: Any, answer: Any) -> Any:
    return tf.reduce_mean((truth - answer) ** 2)


def of_the_paper() -> Any:
    """As the networks of Pan & Rajan (2020): flattened images, dense layers."""
    return keras.Sequential(
        [L.Flatten(input_shape=(6, 6)), L.Dense(5, activation="relu"), L.Dense(3, activation="softmax")]
    )


def plain() -> Any:
    layers = [
        L.Conv2D(3, 3, activation="relu", input_shape=(8, 8, 1)),
        L.BatchNormalization(),
        L.LeakyReLU(0.1),
        L.SeparableConv2D(3, 3),
        L.PReLU(shared_axes=[1, 2]),
        L.MaxPooling2D(2),
        L.Dropout(0.5),
        L.Flatten(),
        L.Dense(3, activation="softmax"),
    ]
    return keras.Sequential(layers)


def of_operators() -> Any:
    image = keras.Input((8, 8, 3))
    x = image[..., ::-1] / 127.5 - 1
    x = tf.nn.relu(L.Conv2D(3, 3)(x))
    y = L.Conv2D(3, 1)(1 - x)
    x = tf.concat([x + y, x * 2.0], -1)
    x = x * tf.math.sigmoid(tf.reduce_mean(x, axis=[1, 2], keepdims=True))
    return keras.Model(image, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def transferred() -> Any:
    """A frozen network in another, behind augmentation and preprocessing, as the tutorials build it."""
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(3, 3, use_bias=False, name="stem/conv")(image)
    x = L.ReLU(6.0)(L.BatchNormalization()(x))
    x = L.DepthwiseConv2D(3, padding="same")(L.ZeroPadding2D(((0, 1), (0, 1)))(x))
    base = keras.Model(image, L.Add()([x, L.Conv2D(3, 1)(x)]), name="base")
    base.trainable = False
    outer = keras.Input((8, 8, 3))
    normalization = L.Normalization(mean=None)
    normalization.adapt(np.random.default_rng(5).random((20, 8, 8, 3)).astype("float32"))
    x = keras.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.2)], name="augmentation")(outer)
    x = normalization(L.Rescaling(1 / 255)(x))
    x = base(x, training=False)
    return keras.Model(outer, L.Dense(3)(L.Dropout(0.2)(L.GlobalAveragePooling2D()(x))))


def main(out: Path) -> None:
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for make in (of_the_paper, plain, of_operators, transferred):
            model = make()
            # Biases and statistics that are not zeros and ones.
            model.set_weights([w + (random.random(w.shape) * 0.2 if w.ndim == 1 else 0) for w in model.get_weights()])
            model.compile("adam", own_loss, metrics=[Metric()])
            x = random.integers(0, 256, (3, *model.input_shape[1:])).astype("float32")
            for suffix in (".h5", ".keras"):
                file = Path(folder) / f"{make.__name__}{suffix}"
                try:
                    model.save(file)
                except TypeError:  # Keras 2 cannot write an Ellipsis into its newer files
                    continue
                archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)
            answers = io.BytesIO()
            np.savez(answers, x=x, y=model.predict(x, verbose=0))
            archive.writestr(zipfile.ZipInfo(f"{make.__name__}.npz"), answers.getvalue(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("keras_2_samples.zip"))

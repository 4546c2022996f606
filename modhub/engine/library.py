"""Keras itself: the one place that imports it, so that nothing does before its backend is known to be there."""

from modhub.engine.keras_backend import require_keras_backend

require_keras_backend()

import keras  # noqa: E402 - without a backend Keras fails with a traceback from inside, and half imported
from keras import ops  # noqa: E402

__all__ = ["keras", "ops"]

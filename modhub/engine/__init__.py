"""The only folder that imports keras: reading trained models, building networks from data, running them."""

from modhub.engine.keras_backend import require_keras_backend

# Before anything here imports keras, whatever is wanted of it.
require_keras_backend()

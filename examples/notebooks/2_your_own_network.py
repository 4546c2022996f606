# %% [markdown]
# # Take your own network apart
#
# A small Keras network that reads handwritten digits is trained, decomposed into ten modules, looked at, and
# published to a registry. It takes some seconds.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

import modhub
from modhub.demo.digits import load_digits

digits = load_digits()  # scikit-learn's, as raw uint8 images of 16 x 16 x 1
train, test = digits.train, digits.test
keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((16, 16, 1)),
        layers.Conv2D(12, 3, padding="same", activation="relu", name="conv_1"),
        layers.MaxPooling2D(2),
        layers.Conv2D(24, 3, padding="same", activation="relu", name="conv_2"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
model.fit(train.x / 255, train.y, epochs=10, batch_size=32, verbose=0)
whole = np.array(train.classes)[model.predict(test.x / 255, verbose=0).argmax(axis=1)]
print(f"the network: {np.mean(whole == test.labels):.1%} of {len(test)} held-out images")

# %% [markdown]
# ## Decompose
#
# `decompose` runs the training images through the network once, and notes for each class which nodes (the outputs of
# ReLUs) are ever active. The network took images divided by 255, and says so here: whoever uses a module gives raw
# images.

# %%
decomposition = modhub.decompose(
    model,
    train.x,
    train.y,
    classes=train.classes,
    name="demo/digits",
    rescale=1 / 255,
    validation=(digits.validation.x, digits.validation.y),
    backtrack="input",
    delta="q95",
)
decomposition.report()

# %% [markdown]
# Modules keep nearly all of their network, which is what makes them answer as it does. What no image of a class ever
# made active can be seen: of each position in the image, how many of the twelve nodes of the first layer. It lies
# where the strokes of that digit never are.

# %%
figure, rows = plt.subplots(2, 10, figsize=(13, 3.1), layout="constrained")
for module, (top, bottom) in zip(decomposition.modules, rows.T, strict=True):
    top.imshow(train.x[train.labels == module.name].mean(axis=0), cmap="gray")
    top.set_title(module.name)
    never = (~module.concern["conv_1:0"]).sum(axis=-1)
    drawn = bottom.imshow(never, cmap="viridis", vmin=0, vmax=6)
for axes in rows.flat:
    axes.set_xticks([])
    axes.set_yticks([])
rows[0, 0].set_ylabel("mean image")
rows[1, 0].set_ylabel("never active")
figure.colorbar(drawn, ax=rows[1, :], fraction=0.01, pad=0.005)
plt.show()

# %% [markdown]
# ## As good as the network?
#
# All ten modules together vote as the network does. `evaluate` measures a classifier, of modules or not, on labelled
# images.

# %%
evaluation = modhub.evaluate(decomposition, (test.x, test.labels))
evaluation

# %%
names = [row.name for row in evaluation.classes]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
left.imshow(evaluation.confusion[:, :-1], cmap="Blues")
left.set(title="answers", xlabel="answered", ylabel="is")
for (i, j), count in np.ndenumerate(evaluation.confusion[:, :-1]):
    if count:
        left.text(j, i, count, ha="center", va="center", fontsize=8, color="white" if count > 20 else "black")
shared = right.imshow(evaluation.between, cmap="viridis", vmax=1)
right.set(title="how much two modules share (Jaccard index)", xlabel="module", ylabel="module")
for axes in (left, right):
    axes.set_xticks(range(10), names)
    axes.set_yticks(range(10), names)
figure.colorbar(shared, ax=right)
plt.show()

# %% [markdown]
# ## Publish
#
# A registry is a folder, a bucket or a server; this one is in memory. Once published, any single class can be
# installed, and what was published under a version never changes.

# %%
release = modhub.publish(decomposition, version="1.0.0", registry="memory://team")
print(f"{release.ref}: {len(release.classes)} modules")
modhub.search("demo/digits", registry="memory://team")

# %%
import tempfile

with tempfile.TemporaryDirectory() as cache:
    pair = modhub.compose(["demo/digits:3", "demo/digits:8"], registry="memory://team", cache=cache)
both = test.restrict(["3", "8"])
right = np.mean(np.array(pair.predict(both.x).labels) == both.labels)
print(f"a classifier of two classes: {right:.1%} of {len(both)} held-out images")

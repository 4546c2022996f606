# %% [markdown]
# # First steps
#
# modhub ships with a small registry: networks for CIFAR-10 and CIFAR-100, taken apart into one module per class. This
# notebook finds classes in it, installs them, and makes a classifier that no network was ever trained to be. No
# network connection, no data set, no GPU.
#
# `pip install 'modhub[demo]'` brings all that these notebooks need.

# %%
import modhub

modhub.search("sunflower")

# %% [markdown]
# `cifar100/r20:sunflower` is one class of one network. What is known about it:

# %%
modhub.info("cifar100/r20:sunflower")

# %% [markdown]
# ## Compose
#
# Three classes of a CIFAR-10 network and three of a CIFAR-100 network. `c10` and `c100` are aliases of the starter
# registry. What is not installed yet is installed now, and every byte is checked against its digest first. Nothing is
# trained.

# %%
clf = modhub.compose(["c10:airplane", "c10:ship", "c10:truck", "c100:orange", "c100:plate", "c100:sunflower"])
clf

# %% [markdown]
# ## Predict
#
# Photos would do; here are drawings, since both networks have seen nothing but photos and it is a harder thing to
# ask. `fit="resize"` brings pictures of any size to the 32 x 32 pixels that the modules take.

# %%
from modhub.demo.drawings import load_drawings

drawings = load_drawings()
prediction = clf.predict(list(drawings.values()), fit="resize")
prediction

# %%
import matplotlib.pyplot as plt


def show(drawings, prediction, classes):
    """Each picture above what the classifier says of it: the probability of each class."""
    _, rows = plt.subplots(2, len(drawings), figsize=(13, 4), height_ratios=[3, 2], layout="constrained")
    for picture, label, shares, (top, bottom) in zip(
        drawings.values(), prediction.labels, prediction.probabilities, rows.T, strict=True
    ):
        top.imshow(picture)
        top.set_title(label)
        top.set_axis_off()
        bottom.barh(classes, shares, color=["C1" if name == label else "C0" for name in classes])
        bottom.set(xlim=(0, 1), xticks=[0, 1])
        bottom.invert_yaxis()
        bottom.tick_params(labelleft=bottom is rows[1, 0], labelsize=8)
    plt.show()


show(drawings, prediction, clf.classes)

# %% [markdown]
# All right but one: the road is none of the six classes, and the vote has to name one. A classifier may also say so.
# Each module has a threshold of its own, and with `reject=True` the answer is "none of these" where no module exceeds
# its threshold.

# %%
careful = modhub.compose(clf, reject=True)
dict(zip(drawings, careful.predict(list(drawings.values()), fit="resize").labels, strict=True))

# %% [markdown]
# ... or add the class. The old classifier stays as it was.

# %%
seven = clf.add("c100:road")
show(drawings, seven.predict(list(drawings.values()), fit="resize"), seven.classes)

# %% [markdown]
# ## Keep it
#
# One file that pins every module by its digest; `bundle=True` puts all bytes into it. `seven.to_keras()` gives one
# Keras model that needs no modhub.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    seven.save(Path(folder) / "things.modhub")
    again = modhub.load(Path(folder) / "things.modhub")
again.classes

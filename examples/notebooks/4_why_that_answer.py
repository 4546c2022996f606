# %% [markdown]
# # Why did it answer that?
#
# A composite of two networks looks at a picture on which there are two things. Which module says what, where does it
# look, and how close was it?

# %%
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import modhub
from modhub.demo.drawings import load_drawings

drawings = load_drawings()
clf = modhub.compose(["c10:airplane", "c10:ship", "c10:truck", "c100:orange", "c100:road", "c100:sunflower"])


def beside(left, right):
    """Two drawings side by side, as one picture of the size that the classifier takes."""
    picture = Image.new("RGB", (512, 256))
    picture.paste(drawings[left], (0, 0))
    picture.paste(drawings[right], (256, 0))
    return np.asarray(picture.resize((32, 32), Image.Resampling.BOX))


picture = beside("ship", "sunflower")
explanation = modhub.explain(clf, picture)
explanation

# %% [markdown]
# ## Where it looks
#
# These networks average their last map, so that a module's margin is a sum over positions of the picture, and a
# constant. It is no estimate: the parts below add up to the margin. Orange speaks for the class, purple against it,
# on one scale for all.

# %%


def show_parts(picture, explanation):
    said = explanation.ranked()
    parts = [each.seen.parts / each.divisor for each in said]
    most = max(np.abs(each).max() for each in parts)
    figure, row = plt.subplots(1, len(said) + 1, figsize=(13, 2.4), layout="constrained")
    row[0].imshow(picture)
    row[0].set_title("picture")
    for axes, each, values in zip(row[1:], said, parts, strict=True):
        axes.imshow(picture.mean(axis=-1), cmap="gray", extent=(0, 32, 32, 0))
        drawn = axes.imshow(values, cmap="PuOr_r", vmin=-most, vmax=most, alpha=0.6, extent=(0, 32, 32, 0))
        axes.set_title(f"{each.label}\n{each.counted:.2f}")
    for axes in row:
        axes.set_axis_off()
    figure.colorbar(drawn, ax=row, fraction=0.01, pad=0.01)
    plt.show()


show_parts(picture, explanation)

# %%
winner = explanation.ranked()[0]
seen = winner.seen
print(f"{winner.label}: parts {seen.parts.sum():.4f} + constant {seen.bias:.4f} = {winner.module_margin:.4f}")

# %% [markdown]
# ## The other way round
#
# The same two things with their places changed: the modules follow them.

# %%
turned = beside("sunflower", "ship")
show_parts(turned, modhub.explain(clf, turned))

# %% [markdown]
# ## A picture of none of the classes
#
# A plate. One module always has the largest margin; whether any module is *positive*, beyond its own threshold, is
# another question.

# %%
plate = np.asarray(drawings["plate"].resize((32, 32), Image.Resampling.BOX))
explanation = modhub.explain(clf, plate)
print(explanation.verdict)
show_parts(plate, explanation)

# %% [markdown]
# `modhub explain photo.png c10:ship c100:sunflower --out why.png` draws all of this for a photo.

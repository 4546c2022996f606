# %% [markdown]
# # Join models that take different images
#
# One network reads handwritten digits, grey and 16 x 16. Another knows ships and trucks, in colour and 32 x 32. Can
# one classifier answer both?

# %%
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import modhub
from modhub.demo.digits import load_digits
from modhub.demo.drawings import load_drawings
from modhub.engine.training import train_small_cnn

digits = load_digits()
train, test = digits.train, digits.test
model = train_small_cnn(train, seed=0, epochs=6)
reader = modhub.decompose(model, train.x, train.y, classes=train.classes, name="demo/digits", rescale=1 / 255)
wanted = [reader.modules[3], reader.modules[7], "c10:ship", "c10:truck"]

# %% [markdown]
# Not as they are. modhub never guesses how an image is meant to be fitted; the error names both sides.

# %%
try:
    modhub.compose(wanted)
except modhub.ModhubError as error:
    print(error)

# %% [markdown]
# ## With an adapter
#
# `adapt="resize"` puts a small linear layer before the modules that take other images: they see the composite's image
# resized and grey. What it costs stands in the plan.

# %%
clf = modhub.compose(wanted, adapt="resize")
clf.plan

# %% [markdown]
# ## Try it
#
# Digits enlarged to 32 x 32 in colour, drawings reduced to it.

# %%
drawings = load_drawings()
pictures, truth = [], []
for name in ("3", "7"):
    for image in test.x[test.labels == name][:3]:
        pictures.append(Image.fromarray(image[..., 0]).convert("RGB"))
        truth.append(name)
for name in ("ship", "truck"):
    pictures += [drawings[name], drawings[name].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    truth += [name] * 2

prediction = clf.predict(pictures, fit="resize")
figure, row = plt.subplots(1, len(pictures), figsize=(13, 1.9), layout="constrained")
for axes, picture, label, shares in zip(row, pictures, prediction.labels, prediction.probabilities, strict=True):
    axes.imshow(picture)
    axes.set_title(f"{label}\n{shares.max():.0%}", fontsize=10)
    axes.set_axis_off()
plt.show()
print(f"{np.mean(np.array(prediction.labels) == truth):.0%} right")

# %% [markdown]
# Does reading digits suffer from it? The same images, by the modules alone and beside others through the adapter:

# %%
both = test.restrict(["3", "7"])
large = [Image.fromarray(image[..., 0]).convert("RGB") for image in both.x]
answers = {
    "3 and 7 alone, 16 x 16": modhub.compose(wanted[:2]).predict(both.x),
    "with ships and trucks, through the adapter": clf.predict(large, fit="resize"),
}
for name, answer in answers.items():
    print(f"{name}: {np.mean(np.array(answer.labels) == both.labels):.1%} of {len(both)}")

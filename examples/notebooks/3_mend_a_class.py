# %% [markdown]
# # Mend a faulty class, without training
#
# A network that reads digits saw four threes only while it was trained, and takes most threes for something else.
# Another network knows them. Modules let one class go from one to the other, which is what Pan & Rajan decompose
# networks for (ICSE 2022).

# %%
import matplotlib.pyplot as plt
import numpy as np

import modhub
from modhub.demo.digits import load_digits
from modhub.engine.training import train_small_cnn

digits = load_digits()
train, test = digits.train, digits.test
threes = np.flatnonzero(train.labels == "3")
few = train.take(np.setdiff1d(np.arange(len(train)), threes[4:]))


def modules(data, name, seed):
    """A network trained on ``data``, as ten modules."""
    model = train_small_cnn(data, seed=seed, epochs=6)
    return modhub.decompose(model, train.x, train.y, classes=train.classes, name=name, rescale=1 / 255)


faulty, other = modules(few, "demo/faulty", seed=1), modules(train, "demo/other", seed=0)
clf = modhub.compose(faulty)
before = modhub.evaluate(clf, (test.x, test.labels), name="as trained")
before

# %% [markdown]
# ## What is wrong

# %%
for truth, answer, count in before.confusions(4):
    print(f"{count:3} images of {truth} were answered {answer}")

# %% [markdown]
# ## Put the other network's module in its place
#
# The nine other modules stay as they are. Two networks vote now, whose margins differ in size, so that they are
# brought to one scale; the plan says by how much.

# %%
mended = clf.swap("3", other.modules[3])
mended.plan

# %% [markdown]
# ## Or do without the class
#
# Removing a module takes no training either. The classifier cannot answer 3 any more, and is right more often
# elsewhere.

# %%
without = clf.remove("3")
rest = test.restrict(without.classes)
after = {
    "as trained": before,
    "3 swapped": modhub.evaluate(mended, (test.x, test.labels), name="3 swapped"),
    "3 removed": modhub.evaluate(without, (rest.x, rest.labels), name="3 removed"),
}

figure, axes = plt.subplots(figsize=(11, 3.2), layout="constrained")
for offset, (name, evaluation) in zip((-0.27, 0, 0.27), after.items(), strict=True):
    places = [test.classes.index(row.name) + offset for row in evaluation.classes]
    axes.bar(places, [row.recall.value for row in evaluation.classes], width=0.25, label=name)
axes.set_xticks(range(10), test.classes)
axes.set(xlabel="class", ylabel="recall on held-out images", ylim=(0, 1))
figure.legend(ncols=3, loc="outside upper right")
plt.show()

# %% [markdown]
# Is it better, or is it chance? `compare` tests it on the same images.

# %%
print(after["3 swapped"].compare(before))

# %% [markdown]
# With published modules this is one command each, `modhub swap` and `modhub remove`, of a project; and when a
# publisher finds such a fault, `modhub advise` tells everybody who has the class, and `modhub audit --fix` proposes
# these ways out.

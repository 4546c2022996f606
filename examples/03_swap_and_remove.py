"""Change a classifier class by class: replace a module, drop one, add one from another model.

Every operation gives a new composite and leaves the old one as it was. Planning needs no neural network library: the
network is built when the first prediction is asked for.
"""

import sys
import tempfile

from modhub import ModhubError, compose


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        animals = compose(["cifar10/r20:cat", "cifar10/r20:dog", "cifar10/r20:frog"], cache=cache)
        print(f"at first\n{animals.plan}\n")

        print(f"the better network's cat in the cat's place\n{animals.swap('cat', 'cifar10/r56:cat').plan}\n")
        print(f"no frogs, but apples\n{animals.remove('frog').add('cifar100/r20:apple').plan}\n")

        # Two classes of one name keep both their full names; they are never merged.
        print(f"a second cat\n{animals.add('cifar10/vgg:cat').plan}\n")

        try:
            animals.swap("kat", "cifar10/r56:cat")
        except ModhubError as error:
            print(error)

        print(f"unchanged: {animals.classes}; keras was imported: {'keras' in sys.modules}")


if __name__ == "__main__":
    main()

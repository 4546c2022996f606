"""Repair a classifier that has one faulty class, in the four ways of the paper's Figure 1. No way retrains it.

Modules vote with their margins as they are, as the paper's do.

Shown with a small network that has seen only a few of its threes. With --models and --data, folders of
cifar100-r32.keras and of cifar100_train.npz and cifar100_test.npz, of CIFAR-100 (half an hour): the pair that the
network confuses most.
"""

import argparse
from pathlib import Path

from examples.paper.faulty import Case, cifar100_case, digits_case, measured, table
from modhub import compose
from modhub.composition.composite import Composite


def repaired(clf: Composite, case: Case) -> dict[str, Composite]:
    faulty = case.pair[0]
    return {
        "the network's modules": clf,
        "(1) replace by a better network's": clf.swap(faulty, case.better[0]),
        "(2) replace by a two-class network's": clf.swap(faulty, case.two[0]),
        "(3) remove": clf.remove(faulty),
        "(4) verify with the two-class network's": clf.verify_with({case.pair: case.two}),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--models", type=Path)
    arguments.add_argument("--data", type=Path)
    arguments.add_argument("--each", type=int, default=4, help="test images of each class outside the pair")
    options = arguments.parse_args()
    case = cifar100_case(options.models, options.data, each=options.each) if options.models else digits_case()
    faulty, other = case.pair
    print(f"faulty: {faulty}; {case.confused} training images of {faulty} and {other} were taken for the other")
    print(f"two classes: {case.two_network}")

    rows = [measured("the network", case.test.classes, case.answers, case)]
    for what, composite in repaired(compose(case.modules, vote="raw"), case).items():
        rows.append(measured(what, composite.classes, composite.predict(case.test.x).margins, case))
    print(table(rows, case.pair))


if __name__ == "__main__":
    main()

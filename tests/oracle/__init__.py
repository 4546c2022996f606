"""The decomposition once more, literally and slowly, from docs/algorithm.md alone.

Nothing here is shared with the code under test but the data model (``modhub.spec.architecture``): every algorithm is
written as loops over single positions, in Python numbers, so that each line can be checked against the page it comes
from. ``forward`` runs a network, ``masks`` identifies concerns, ``backtracking`` removes nodes, ``networks`` draws
random networks, ``keras_models`` makes real Keras models of them. numpy holds arrays and computes nothing.
"""

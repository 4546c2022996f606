"""The public names of modhub, each from the module that defines it."""

from .composition.composite import Composite as Composite
from .composition.votes import Prediction as Prediction
from .energy.machine import meter as meter
from .errors import ModhubError as ModhubError
from .evaluation.evaluation import Evaluation as Evaluation
from .ops.advise import advise as advise
from .ops.advise import deprecate as deprecate
from .ops.advise import withdraw_advisory as withdraw_advisory
from .ops.audit import audit as audit
from .ops.card import card as card
from .ops.check import Check as Check
from .ops.compact import compact as compact
from .ops.compose import compose as compose
from .ops.decompose import decompose as decompose
from .ops.evaluate import evaluate as evaluate
from .ops.explain import explain as explain
from .ops.export import export as export
from .ops.info import info as info
from .ops.install import install as install
from .ops.install import lock as lock
from .ops.licenses import licenses as licenses
from .ops.load import load as load
from .ops.publish import publish as publish
from .ops.publish import yank as yank
from .ops.search import search as search
from .ops.site import build_site as build_site
from .ops.uninstall import uninstall as uninstall
from .ops.update import update as update
from .package.decomposition import Decomposition as Decomposition
from .package.module import Module as Module
from .project.project import Project as Project
from .serving.server import serve as serve
from .updating.result import Update as Update

__version__: str

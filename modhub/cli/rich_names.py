"""What tables need of rich, which takes 20 ms to import: only who draws in a terminal imports this."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Console", "Table", "Text", "box"]

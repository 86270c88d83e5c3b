"""weightwise: which tasks to fine-tune together, how to weight them, and whether the gain is real."""

__version__ = "0.1.0"

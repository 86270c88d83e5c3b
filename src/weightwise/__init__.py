"""weightwise: which tasks to fine-tune together, how to weight them, is the gain real."""

__version__ = "0.1.0"

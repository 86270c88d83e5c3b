"""The whole configuration as typed, documented models; the only truth about a study."""

from weightwise.config.load import load_study
from weightwise.config.study import StudyConfig
from weightwise.config.tasks import TaskConfig
from weightwise.config.training import TrainingConfig

__all__ = ["StudyConfig", "TaskConfig", "TrainingConfig", "load_study"]

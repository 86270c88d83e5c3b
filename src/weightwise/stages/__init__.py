"""Stages: trainings of the encoder alone, shared by all runs that start from their result."""

"""Generators made from (study seed, run seed, purpose); nothing draws from a global one."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(study_seed: int, run_seed: int, purpose: str) -> int:
    """A 63-bit seed. Different purposes give independent streams; equal ones, equal streams.

    Purposes name the task they serve where there is one (`order:SEN`): a task then meets the same
    order, first weights and noise in every arm with that seed, so arms can be compared in pairs.
    """
    text = f"{study_seed}/{run_seed}/{purpose}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def numpy_generator(study_seed: int, run_seed: int, purpose: str) -> np.random.Generator:
    """A NumPy generator for that purpose."""
    return np.random.default_rng(seed_for(study_seed, run_seed, purpose))

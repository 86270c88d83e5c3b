"""What a design can see: the smallest true change that it finds with a given power."""

from __future__ import annotations

import functools
import math

from scipy import optimize, stats

LARGEST = 1e6  # standard deviations


def power_of(effect: float, seeds: int, error: float) -> float:
    """Power of the two-sided paired t test to find a true change in its direction.

    Args:
        effect: the true change in standard deviations of the paired changes, above 0.
        seeds: pairs, at least 2.
        error: level of the test, (0, 1).

    Returns:
        P(T > t(1 - error / 2, n - 1)) where T is noncentral t, ncp = effect * sqrt(n).
    """
    critical = float(stats.t.isf(error / 2, seeds - 1))
    found = float(stats.nct.sf(critical, seeds - 1, effect * math.sqrt(seeds)))
    if math.isnan(found) or effect * math.sqrt(seeds) > 30:
        # Far from zero the noncentral t fails; there only the estimate of the spread still varies.
        ratio = effect * math.sqrt(seeds) / critical
        found = float(stats.chi2.cdf((seeds - 1) * ratio**2, seeds - 1))
    return found


@functools.cache
def visible_effect(seeds: int, error: float, power: float) -> float:
    """The smallest true change that is found with the given power, in standard deviations of the
    paired changes; nan below two seeds.

    Args:
        seeds: pairs of an arm and its baseline.
        error: level of the two-sided test, (0, 1): for Holm's first step the family's error
            divided by the arms of the family.
        power: (0, 1).
    """
    if seeds < 2:
        return math.nan
    high = 1.0
    while power_of(high, seeds, error) < power:
        high *= 2
        if high > LARGEST:
            return math.nan
    return float(optimize.brentq(lambda d: power_of(d, seeds, error) - power, 1e-9, high))

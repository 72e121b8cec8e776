"""Anytime-valid tests of counts: the evidence that one kind of event is too frequent. Pure.

Of the events that are counted, a share of at most `limit` may be hits. The evidence E against that is a likelihood
ratio: the alternative is a Beta distribution above the limit, with the mean `limit` and the weight of two events. As
long as the share is not above the limit, the chance that E ever exceeds 1/α is at most α, however often one looks
(Ville's inequality). So a look costs nothing, and the looks of several stages multiply.

Sources: Lindon and Malek, arXiv 2011.03567; Lindon et al., arXiv 2205.14762; Howard and Ramdas, arXiv 1906.09712;
Waudby-Smith and Ramdas, arXiv 2010.09686.
"""

from __future__ import annotations

import math

# Above this, Stirling's series has an error below 1e-16.
_LARGE = 10.0
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_TINY = 1e-300
_EXACT = 1e-15


def log_evidence(hits: int, misses: int, limit: float) -> float:
    """The natural logarithm of the evidence that the share of hits is above `limit`, which is between 0 and 1.

    It may be negative: then the counts speak for a share within the limit. Exact to about 1e-10 for a million events.
    """
    if not hits and not misses:
        return 0.0
    first, second = 2 * limit, 2 * (1 - limit)
    after = _log_above(first + hits, second + misses, limit) - _log_density(first + hits, second + misses, limit)
    return after - _log_above(first, second, limit) + _log_density(first, second, limit)


def _log_density(a: float, b: float, x: float) -> float:
    """ln(x^a (1 - x)^b / B(a, b)), from deviations instead of large numbers that cancel each other.

    Source: C. Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000), for the Beta function.
    """
    total = a + b
    corrections = _stirling(a) + _stirling(b) - _stirling(total)
    return (
        0.5 * math.log(a * b / (2 * math.pi * total))
        - _deviation(a, total * x)
        - _deviation(b, total * (1 - x))
        - corrections
    )


def _log_above(a: float, b: float, x: float) -> float:
    """The logarithm of the chance that a variable with the distribution Beta(a, b) is above x."""
    if x > a / (a + b):
        return _log_below(b, a, 1 - x)
    return math.log1p(-math.exp(_log_below(a, b, x)))


def _log_below(a: float, b: float, x: float) -> float:
    """The logarithm of the chance that Beta(a, b) is below x, for an x that is not above its mean.

    Source: NIST Digital Library of Mathematical Functions, 8.17.22; the continued fraction by Lentz's method.
    """
    numerator, denominator = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = denominator
    step = 0
    while True:
        step += 1
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        factor = 1.0
        for term in (even, odd):
            denominator = 1 / _not_zero(1 + term * denominator)
            numerator = _not_zero(1 + term / numerator)
            factor = numerator * denominator
            fraction *= factor
        if abs(factor - 1) < _EXACT:
            return _log_density(a, b, x) - math.log(a) + math.log(fraction)


def _stirling(x: float) -> float:
    """How much ln Γ(x) differs from (x - 1/2) ln x - x + ln(2π) / 2."""
    if x < _LARGE:
        return math.lgamma(x) - ((x - 0.5) * math.log(x) - x + 0.5 * math.log(2 * math.pi))
    return sum(term / x ** (2 * number + 1) for number, term in enumerate(_STIRLING))


def _deviation(x: float, mean: float) -> float:
    """x ln(x / mean) - x + mean, also exact where x is close to the mean."""
    difference = x - mean
    if abs(difference) >= 0.1 * (x + mean):
        return x * math.log(x / mean) - difference
    ratio = difference / (x + mean)
    value, term, number = difference * ratio, 2 * x * ratio, 1
    while True:
        term *= ratio * ratio
        number += 2
        if value + term / number == value:
            return value
        value += term / number


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY

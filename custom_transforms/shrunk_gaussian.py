"""A Gaussian of few samples with many features, and the Mahalanobis distance from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LEAST_SCALE = 0.1  # of the median feature's: a channel that is all but silent in training would count as far too much
LEAST_SHRINKAGE = 1e-3  # of two samples the formula gives 0, and the matrix could not be inverted


@dataclass(frozen=True)
class ShrunkGaussian:
    """Mean and covariance of standardised features, the covariance shrunk towards a multiple of the identity.

    Attributes:
        mean, scale: `(D,)` mean and standard deviation of each feature.
        components: `(R, D)` orthonormal directions in which the samples differ, R below their number.
        variances: `(R,)` shrunk variance along each.
        rest_variance: `(1,)` shrunk variance along any direction at right angles to these, in which no sample differs.
    """

    mean: Array
    scale: Array
    components: Array
    variances: Array
    rest_variance: Array

    @classmethod
    def of(cls, features: ArrayLike) -> ShrunkGaussian:
        """Fit to features `(P, D)` of P samples, at least 2, of which not all are equal.

        Raises:
            ValueError: too few samples, or equal ones.

        Reference:
            Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, J. Multivariate
            Analysis 88 (2004) 365. The D x D matrix itself is never made.
        """
        features = np.asarray(features, dtype=np.float64)
        mean, scale = features.mean(axis=0), features.std(axis=0)
        if len(features) < 2 or not scale.any():
            raise ValueError(f"features: expected at least 2 samples that differ, got {len(features)}")
        scale = np.maximum(scale, LEAST_SCALE * np.median(scale[scale > 0]))
        standard = (features - mean) / scale
        from sklearn.covariance import ledoit_wolf_shrinkage  # only fitting needs it, and it takes a second

        shrinkage = max(ledoit_wolf_shrinkage(standard, assume_centered=True), LEAST_SHRINKAGE)
        _, singular, components = np.linalg.svd(standard, full_matrices=False)
        differing = singular > 1e-6 * singular[0]  # as the mean is taken off, one direction less than samples
        variances = singular[differing] ** 2 / len(features)
        rest = shrinkage * variances.sum() / features.shape[1]
        return cls(mean, scale, components[differing], (1 - shrinkage) * variances + rest, np.array([rest]))

    def distance(self, features: ArrayLike) -> float:
        """Measure the Mahalanobis distance of one sample `(D,)`.

        Reference:
            Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks,
            NeurIPS 2018; here with one class, as the patient's class is what is asked for.
        """
        standard = (np.asarray(features, dtype=np.float64) - self.mean) / self.scale
        along = self.components @ standard
        rest = max(float(standard @ standard - along @ along), 0.0)
        return float(np.sqrt(np.sum(along**2 / self.variances) + rest / self.rest_variance[0]))

"""The motion of one box: a Kalman filter (Kalman, 1960) of its centre and size, each with its speed."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# For centre x, centre y, width and height, in sides (a side is the root of the box's area): the detector's error
# (measured on a face of 24 to 160 pixels, moved by fractions of a pixel: 0.01 to 0.024 and 0.017 to 0.064), the speed
# that a new face may have, and how fast a speed changes. Half or twice the last one predicts worse.
_ERROR = np.array([0.02, 0.02, 0.035, 0.035])
_SPEED = np.array([1.5, 1.5, 0.3, 0.3])  # a second
_ACCELERATION = np.array([2.5, 2.5, 0.25, 0.25])  # a second, to the power 1.5
_COAST = 0.5  # seconds: what is no longer seen slows down, and comes to rest after this time at its last speed

_H = np.array([1.0, 0.0])  # a measurement is the value, not its speed


@dataclass(frozen=True, eq=False)
class KalmanFilter:
    """The state of a box: centre x, centre y, width and height, each filtered apart from the others.

    Attributes
    ----------
    x
        (4, 2): each value in pixels, and its speed in pixels a second.
    P
        (4, 2, 2): the covariance of each value and its speed.
    """

    x: Floats
    P: Floats

    @staticmethod
    def start(z: Floats) -> "KalmanFilter":
        """Begin with the first measurement (4,): a value with the detector's error, and any speed a face may have."""
        side = _side(z)
        x = np.stack([z, np.zeros(4)], axis=1)
        P = np.zeros((4, 2, 2))
        P[:, 0, 0], P[:, 1, 1] = (_ERROR * side) ** 2, (_SPEED * side) ** 2
        return KalmanFilter(x, P)

    def predict(self, dt: float, *, side: float | None = None) -> "KalmanFilter":
        """Return the state after `dt` seconds without a measurement.

        side: pixels, the unit of the process noise; None: the side of the box itself.
        """
        left = math.exp(-dt / _COAST)
        F = np.array([[1, _COAST * (1 - left)], [0, left]])
        noise = _ACCELERATION * (_side(self.x[:, 0]) if side is None else side)
        Q = noise[:, None, None] ** 2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        return KalmanFilter(self.x @ F.T, F @ self.P @ F.T + Q)

    def update(self, z: Floats) -> "KalmanFilter":
        """Return the state after a measurement (4,) of centre x, centre y, width and height in pixels."""
        R = (_ERROR * _side(z)) ** 2
        S = _H @ self.P @ _H + R
        K = self.P @ _H / S[:, None]
        x = self.x + K * (z - self.x @ _H)[:, None]
        P = self.P - K[:, :, None] * (_H @ self.P)[:, None]
        return KalmanFilter(x, P)


def _side(z: Floats) -> float:
    """The root of a box's area, in pixels; 0 where a speed has shrunk it to nothing."""
    return math.sqrt(max(z[2], 0) * max(z[3], 0))

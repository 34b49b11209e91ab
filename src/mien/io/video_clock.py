"""The times of a video's frames: seconds from the first one, from whatever time stamps the source has."""

import time
from collections.abc import Iterator
from typing import Any

from mien.io.frame import CLOSE

_BACK, _AHEAD = 0.5, 3600.0  # seconds: a time stamp further back or ahead than this means that the clock was set anew
_BY_DTS = frozenset(("avi", "asf"))  # formats with times of decoding only; FFmpeg guesses the times of display
_DISORDER = 3  # times of display that go back, from which on those of decoding are taken
_NO_TIMESTAMPS = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS: the stream is frames and nothing else
_AT_ONCE = 0.5  # seconds: a stream that opens faster has no backlog
_WAITED = 0.01  # seconds: a packet that took longer was waited for, and ends the backlog
_RATES, _RATE = (1.0, 240.0), 25.0  # frames a second: what is believed of those stated, and what holds otherwise


class VideoClock:
    """Gives each decoded frame of one video its seconds from the first frame, which never go back.

    A frame has the time of display that its container states. Where a container states times of decoding only, as AVI
    does, or its times of display are out of order, frames have the times of decoding in the order of display. A live
    stream without time stamps, such as MJPEG over HTTP, is timed by the arrival of its frames.

    A clock that goes back by more than half a second, or ahead by more than an hour, was set anew, as in recordings
    put end to end: the next frame then follows one frame after the last.

    Attributes
    ----------
    origin
        Seconds: the time stamp of second 0; None until the first frame of a live source.
    pause
        Seconds from frame to frame, where none are stated: as from the latest frame but one to the latest.
    seconds
        The time of the latest frame; negative before the first one.
    was_set
        True once the clock was set anew.
    by_arrival
        True if frames are timed by the arrival of their packets.
    """

    def __init__(self, container: Any, stream: Any, *, live: bool) -> None:
        self.origin = None if live else start_seconds(stream)
        rate = float(stream.average_rate or 0)
        self.pause = 1 / (rate if _RATES[0] <= rate <= _RATES[1] else _RATE)
        self.seconds = -self.pause
        self.was_set = False
        self._tick = stream.time_base
        self.by_arrival = live and bool(container.format.flags & _NO_TIMESTAMPS)
        self._by_dts = not live and container.format.name in _BY_DTS
        self._disorder = 0
        self._first_packet: int | None = None  # ticks: when it is decoded
        self._delay: int | None = None  # ticks from when a packet is decoded to when its frame is shown
        self._arrived = 0.0
        self._started = False

    def note(self, packet: Any, arrived: float) -> None:
        """Take note of a packet before it is decoded, and of when it arrived."""
        self._arrived = arrived
        if self._first_packet is None:
            self._first_packet = packet.dts

    def read(self, frame: Any, *, sought: bool = False) -> float:
        """Return the seconds of the next frame; `sought` says that the first one is not the video's first."""
        stamp = self._stamp(frame)
        if stamp is None:
            self.seconds += self.pause
            return max(self.seconds, 0.0)
        if self.origin is None:
            self.origin = stamp
        seconds = stamp - self.origin
        sane = self.seconds - _BACK <= seconds <= self.seconds + _AHEAD
        if not sane and (self._started or not sought):
            self.was_set |= self._started
            seconds = self.seconds + self.pause
            self.origin = stamp - seconds
        elif seconds < self.seconds - CLOSE:
            self._disorder += 1
            self._by_dts |= self._disorder == _DISORDER
        elif self._started and CLOSE < seconds - self.seconds <= 1 / _RATES[0]:
            self.pause = seconds - self.seconds
        self._started = True
        self.seconds = max(seconds, self.seconds)
        return max(self.seconds, 0.0)

    def _stamp(self, frame: Any) -> float | None:
        """Return the frame's time stamp in seconds; None where it has none."""
        if self.by_arrival:
            return self._arrived
        if self._delay is None and frame.dts is not None and self._first_packet is not None:
            self._delay = frame.dts - self._first_packet
        if not self._by_dts:
            return None if frame.time is None else float(frame.time)
        if frame.dts is None or self._delay is None:
            return None
        return float((frame.dts - self._delay) * self._tick)


def with_arrivals(packets: Iterator[Any], *, opened: float) -> Iterator[tuple[Any, float]]:
    """Give each packet with the time at which it arrived.

    FFmpeg may read a stream for seconds until it knows what it is. The packets of that time come all at once; they are
    taken to have arrived one by one from `opened` on.

    opened: when the stream was begun to be opened, on the clock of `time.monotonic`, as the arrivals are.
    """
    began = now = time.monotonic()
    backlog: list[Any] = []
    error: Exception | None = None
    if began - opened > _AT_ONCE:
        try:
            for packet in packets:
                before, now = now, time.monotonic()
                backlog.append(packet)
                if now - before > _WAITED:
                    break
        except Exception as caught:  # noqa: BLE001  # it comes after the packets before it
            error = caught
        for number, packet in enumerate(backlog, start=1):
            yield packet, opened + (now - opened) * number / len(backlog)
        if error is not None:
            raise error
    for packet in packets:
        yield packet, time.monotonic()


def start_seconds(stream: Any) -> float:
    """Return the time stamp at which a stream starts, in seconds."""
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0

"""Counts of the service, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mien.serve.limits import Gate
from mien.serve.video.jobs import VideoJobs

_BATCHES = (1, 2, 4, 8, 16)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The numbers of one service, in a registry of their own."""

    def __init__(self, gate: Gate, jobs: VideoJobs) -> None:
        self.registry = CollectorRegistry()
        self.responses = Counter("mien_responses", "Responses by status.", ["status"], registry=self.registry)
        self.seconds = Histogram(
            "mien_predict_seconds",
            "Seconds of /v1/predict, from the head of a request to its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.pictures = Counter("mien_pictures", "Pictures that were read.", registry=self.registry)
        self.faces = Counter("mien_faces", "Faces whose expression was read.", registry=self.registry)
        self.frames = Counter("mien_frames", "Frames of clips that were read.", registry=self.registry)
        self.batch = Histogram("mien_batch", "Pictures of a batch.", buckets=_BATCHES, registry=self.registry)
        waiting = Gauge("mien_pictures_inside", "Pictures that wait or are worked on.", registry=self.registry)
        waiting.set_function(lambda: gate.pictures)
        kept = Gauge("mien_jobs", "Clips that wait, are read, or wait to be fetched.", registry=self.registry)
        kept.set_function(lambda: len(jobs))

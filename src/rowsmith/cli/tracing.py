"""Whether a run is traced, and whether anybody takes the traces."""

from __future__ import annotations

from rowsmith.datasets.loading import Job
from rowsmith.engine.events import Listener
from rowsmith.errors import ConfigError, MissingDependencyError


def traces(job: Job) -> list[Listener]:
    """What makes a run's traces, if they are wanted.

    Raises:
        ConfigError: they are, but nothing takes them, or OpenTelemetry is not installed.
    """
    if not job.trace:
        return []
    try:
        from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider
    except ModuleNotFoundError as exc:
        raise MissingDependencyError("--trace", "otel") from exc
    from rowsmith.engine.tracing import OpenTelemetry

    if isinstance(get_tracer_provider(), ProxyTracerProvider):
        raise ConfigError(
            "--trace: nothing takes the traces. Let OpenTelemetry set itself up first, by its OTEL_* variables: "
            "pip install opentelemetry-distro opentelemetry-exporter-otlp, then "
            "opentelemetry-instrument rowsmith run ... --trace"
        )
    return [OpenTelemetry()]

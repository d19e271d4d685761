"""Tier 7, event streaming: Apache Kafka on Amazon MSK, with topics and signals."""

from components.event_streaming.event_streaming import EventStreaming, EventStreamingArgs

__all__ = ["EventStreaming", "EventStreamingArgs"]

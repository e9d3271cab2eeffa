//! One worker's task: it owns the stream to the worker and lives across requests.

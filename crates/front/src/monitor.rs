//! The link to the monitor.

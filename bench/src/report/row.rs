//! One server's line in the table of all servers: the same numbers, whichever command measured them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The line. What is not known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The server's name.
    pub server: String,
    /// Connections that received.
    pub subscribers: u64,
    /// Bytes of a message's text.
    pub message_bytes: u64,
    /// Messages per second that were asked for.
    pub messages_per_second: f64,
    /// Deliveries per second at that rate.
    pub deliveries_per_second: f64,
    /// From intended time to receipt at that rate: the median.
    pub p50_ms: f64,
    /// And 99 of 100.
    pub p99_ms: f64,
    /// The server's CPU time per delivery at that rate, publishing included.
    pub cpu_us_per_delivery: Option<f64>,
    /// The server's anonymous memory per connection.
    pub user_bytes_per_connection: Option<f64>,
    /// The kernel's memory per connection, both ends.
    pub kernel_bytes_per_connection: Option<f64>,
    /// Most deliveries per second that were kept up without growing latency.
    pub max_deliveries_per_second: Option<f64>,
    /// The server's CPU time per delivery then.
    pub max_cpu_us_per_delivery: Option<f64>,
    /// Whether that was the server's limit, not the load generator's.
    pub max_valid: Option<bool>,
    /// Whether the load generator was not the limit at the rate.
    pub valid: bool,
    /// Whether everything was delivered once and in order.
    pub sound: bool,
}

impl Row {
    /// Appends the line to a file of JSON lines.
    pub fn append(&self, path: &Path) -> std::io::Result<()> {
        let line = serde_json::to_string(self)? + "\n";
        OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
    }
}

//! Settings of the doors, as the operator has set them.
//!
//! Lives on: every core, a copy each.

/// Settings of the doors.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway URL in answers to clients, bare (`wss://chat.example`). `None`: `ws://` and the host that they came
    /// by.
    pub public_gateway_url: Option<String>,
    /// Whether people may register accounts.
    pub registration: bool,
    /// Whether REST rate limits apply.
    pub rate_limits: bool,
    /// Requests per second for one user over all routes.
    pub global_rate: u32,
}

impl Settings {
    /// The gateway URL for a client that came by `host`.
    pub fn gateway_url(&self, host: &str) -> String {
        match &self.public_gateway_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("ws://{host}"),
        }
    }
}

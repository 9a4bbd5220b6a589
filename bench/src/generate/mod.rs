//! The load: WebSocket sessions on few threads, and the driver of REST requests.

pub mod clients;
pub mod feature_probe;
pub mod rest_driver;

//! Bytes in, bytes out: WebSocket frames, stream compression, sockets. Knows nothing of what the bytes mean.
//!
//! Lives on: every core.

pub mod compression;
pub mod deflate;
pub mod frames;
pub mod hyper_io;
pub mod registered_files;
pub mod ring;
pub mod socket;
pub mod zstd;

//! The `--data` flag, which `serve` and `admin` share.
//!
//! Lives on: the main thread.

use std::path::PathBuf;

/// Where the server keeps everything.
#[derive(Debug, Clone, clap::Args)]
pub struct DataArg {
    /// The data directory.
    #[arg(long, value_name = "DIR", env = "GUILDHALL_DATA")]
    pub data: Option<PathBuf>,
}

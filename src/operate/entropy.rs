//! Entropy from the kernel, which seeds every generator of the process.
//!
//! Lives on: the main thread, the control thread, or a command's process.

use std::fs::File;
use std::io::Read;

use crate::base::fatal::Fatal;

/// 256 bits of the kernel's entropy.
pub fn entropy() -> Result<[u8; 32], Fatal> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut seed))
        .map_err(|error| Fatal(format!("cannot read /dev/urandom: {error}")))?;
    Ok(seed)
}

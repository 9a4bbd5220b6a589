//! What the kernel alone takes for the same bytes.

pub mod pulse;
pub mod raw;

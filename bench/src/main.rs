//! Load generator for Guildhall.
fn main() {}

//! letter.

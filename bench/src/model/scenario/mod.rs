//! What kind of community it is, and what happens in it per second: the source of made-up traces.
//!
//! A scenario is a TOML file; `bench/scenarios/README.md` has all its parameters. [`load`] finds and checks it,
//! [`synth()`] makes a trace of it.

pub mod arrivals;
pub mod check;
pub mod description;
pub mod guild_setup;
pub mod load;
pub mod population;
pub mod spread;
pub mod synth;

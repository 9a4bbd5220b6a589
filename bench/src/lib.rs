//! Load generator for Guildhall. It speaks only the wire, so it measures any server that speaks Discord's API v10.
//!
//! Start with [`swarm`], the sessions, and [`judge`], which says whether they received everything once and in order. [`poster`]
//! makes the traffic; [`chat`], [`idle`] and [`fanout`] are the runs, and [`raw`] is the kernel's own limit to compare with.

pub mod chance;
pub mod chat;
pub mod check;
pub mod clock;
pub mod commandline;
pub mod fanout;
pub mod http;
pub mod idle;
pub mod judge;
pub mod limits;
pub mod marker;
pub mod peers;
pub mod poster;
pub mod proc;
pub mod progress;
pub mod raw;
pub mod report;
pub mod scenario;
pub mod script;
pub mod source;
pub mod swarm;
pub mod trace;

//! Load generator for Guildhall. It speaks only the wire, so it measures any server that speaks Discord's API v10.
//!
//! A [`scenario`] becomes a [`trace`]; [`run`] plays it on a [`town`]: the [`player`] asks over REST, the [`swarm`] is the sessions,
//! the [`judge`] says whether they received everything once and in order, and [`report`] tells it. [`million`] is the largest guild, step by step; [`chat`], [`idle`] and [`fanout`] are
//! small runs without a scenario; [`raw`] is the kernel's own limit, [`ceiling`] the load generator's and [`peers`] are other servers, to compare with.

pub mod arrival;
pub mod ceiling;
pub mod chance;
pub mod chat;
pub mod check;
pub mod clock;
pub mod commandline;
pub mod fanout;
pub mod host;
pub mod http;
pub mod idle;
pub mod judge;
pub mod limits;
pub mod marker;
pub mod million;
pub mod peers;
pub mod player;
pub mod probe;
pub mod proc;
pub mod progress;
pub mod pulse;
pub mod raw;
pub mod replay;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod script;
pub mod source;
pub mod swarm;
pub mod town;
pub mod trace;
pub mod watch;

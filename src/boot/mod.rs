//! The process: command line, configuration, cores, listeners, descriptor tables, signals and drain.

pub mod command_line;
pub mod config;
pub mod core;
pub mod cores;
pub mod entrance;
pub mod listener;
pub mod preflight;
pub mod serve;
pub mod signals;
pub mod tables;
pub mod turn;

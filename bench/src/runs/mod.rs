//! The runs that the command line offers, from connecting the sessions to their report.

pub mod arrival;
pub mod ceiling;
pub mod chat;
pub mod fanout;
pub mod million;
pub mod peers;
pub mod replay;
pub mod server_process;
pub mod watch;

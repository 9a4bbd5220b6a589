//! The operator's side: `guildhall admin`, imports, and the control socket of a running server.

pub mod admin;
pub mod admin_command;
pub mod control;
pub mod core_command;
pub mod data_arg;
pub mod entropy;
pub mod import;
pub mod offline;
pub mod online;
pub mod raw_send;
pub mod token_file;

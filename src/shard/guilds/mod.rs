//! The guilds that a core owns: their requests, their member lists, what is recorded of them.

pub mod lists;
pub mod records;
pub mod requests;

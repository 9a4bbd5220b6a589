//! Forms: JSON bodies read into the drafts and patches of `wire/request`, one resource a file.
//!
//! A function takes the body and returns the draft, or a refusal that lists every fault under its path. A part that
//! several resources share (embeds, mentions) takes a [`reader::FormReader`] and adds its faults there. Bounds are in
//! `limits.rs`. What the gateway reads (op 2, 3, 14, 37) has no error tree; it is parsed beside its type in
//! `wire/request`.

pub mod account;
pub mod channel;
pub mod embed;
pub mod guild;
pub mod invite;
pub mod member;
pub mod mention;
pub mod message;
pub mod overwrite;
pub mod reader;
pub mod role;

//! What the verifier knows of a session at the end of a run, whatever its connection did.

use crate::verify::receipts::Sequence;

/// A session's id. Those of usual length are kept in place.
#[derive(Debug)]
pub enum SessionId {
    /// There is no session.
    None,
    /// So many of these bytes.
    Short(u8, [u8; 38]),
    /// A longer one.
    Long(Box<str>),
}

impl SessionId {
    /// Keeps an id.
    pub fn new(id: &str) -> SessionId {
        let mut bytes = [0; 38];
        match bytes.get_mut(..id.len()) {
            Some(place) => {
                place.copy_from_slice(id.as_bytes());
                SessionId::Short(id.len() as u8, bytes)
            }
            None => SessionId::Long(id.into()),
        }
    }

    /// The id, if there is a session.
    pub fn id(&self) -> Option<&str> {
        match self {
            SessionId::None => None,
            SessionId::Short(length, bytes) => std::str::from_utf8(&bytes[..usize::from(*length)]).ok(),
            SessionId::Long(id) => Some(id),
        }
    }
}

/// One session's part of the evidence.
#[derive(Debug)]
pub struct SessionRecord {
    /// Its number in the pool.
    pub index: u32,
    /// Its id, once it has one.
    pub id: SessionId,
    /// Whether it ever became live.
    pub was_live: bool,
    /// Checks the numbers of its dispatches.
    pub sequence: Sequence,
}

impl SessionRecord {
    /// A session that has never been connected.
    pub fn new(index: u32) -> SessionRecord {
        SessionRecord { index, id: SessionId::None, was_live: false, sequence: Sequence::default() }
    }
}

//! What a published message says, and how it is recognised: the one place where peers meet the
//! [`marker`](crate::verify::marker).

use crate::model::script::Mark;
use crate::runs::peers::peer::Shape;
use crate::verify::marker::Marker;

/// How every marker begins.
const FRONT: &[u8] = b"gh ";

/// The stamp of one run.
#[derive(Debug, Clone)]
pub struct MessageFormat {
    /// The run's marker.
    pub marker: Marker,
    /// Bytes of a message.
    pub size: usize,
    /// How messages are delivered.
    pub shape: Shape,
}

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A message of the run: its number, from 0, and when it was meant to be sent, in nanoseconds since 1970.
    Message(u32, u64),
    /// A message of the run, but not as it was published.
    Garbled(u32),
    /// Something else: a greeting, or a message of another run.
    Foreign,
}

impl MessageFormat {
    /// The message with this number.
    pub fn message(&self, index: u32, intended_ns: u64) -> String {
        self.marker.content(Mark { stream: 0, index, intended_ns }, self.size)
    }

    /// What a payload is.
    pub fn look(&self, payload: &[u8]) -> Seen {
        let Some(Mark { index, intended_ns, .. }) = self.marker.find(payload) else { return Seen::Foreign };
        if self.shape == Shape::Whole && (payload.len() != self.size || !payload.starts_with(FRONT)) {
            return Seen::Garbled(index);
        }
        Seen::Message(index, intended_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_by_their_shape() {
        let whole = MessageFormat { marker: Marker::new("abc"), size: 120, shape: Shape::Whole };
        let within = MessageFormat { shape: Shape::Within, ..whole.clone() };
        let message = whole.message(7, 1_700_000_000_123_456_789);
        let seen = Seen::Message(7, 1_700_000_000_123_456_789);
        let wrapped = format!("{{\"data\":\"{message}\"}}");
        assert_eq!((whole.look(message.as_bytes()), within.look(wrapped.as_bytes())), (seen, seen));
        assert_eq!(whole.look(wrapped.as_bytes()), Seen::Garbled(7));
        assert_eq!(whole.look(&message.as_bytes()[..119]), Seen::Garbled(7));
        assert_eq!(whole.look(b"welcome"), Seen::Foreign);
        let other = MessageFormat { marker: Marker::new("abd"), ..whole };
        assert_eq!(other.look(message.as_bytes()), Seen::Foreign);
    }
}

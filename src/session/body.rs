//! The body of an event as it goes out: rendered once, shared by everybody who gets it.
//!
//! Lives on: every core; never shared between cores but for the immutable bytes.

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::Bytes;

use crate::base::clock::Time;
use crate::net::deflate::Deflater;
use crate::wire::event::EventName;

/// A body that many sessions refer to.
pub type SharedBody = Rc<Body>;

/// The `d` of an event, in up to two pieces (what all have in common, and the rest), with its name.
#[derive(Debug)]
pub struct Body {
    /// `t`.
    pub name: EventName,
    /// When it happened; starts the latency clock.
    pub published: Time,
    json: [Bytes; 2],
    deflated: OnceCell<Bytes>,
}

impl Body {
    /// A body in one piece.
    pub fn new(name: EventName, json: Bytes, published: Time) -> SharedBody {
        Self::spliced(name, json, Bytes::new(), published)
    }

    /// A body in two pieces, of which the first is shared with other bodies.
    pub fn spliced(name: EventName, common: Bytes, rest: Bytes, published: Time) -> SharedBody {
        Rc::new(Body { name, published, json: [common, rest], deflated: OnceCell::new() })
    }

    /// Bytes of JSON.
    pub fn len(&self) -> usize {
        self.json[0].len() + self.json[1].len()
    }

    /// Never true: a body is at least `{}`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The JSON, piece by piece.
    pub fn json(&self) -> &[Bytes; 2] {
        &self.json
    }

    /// The JSON and the brace that closes the envelope, compressed once and kept. Ends with a flush mark.
    pub fn deflated(&self, deflater: &mut Deflater) -> &Bytes {
        self.deflated.get_or_init(|| deflater.compress(&[&self.json[0], &self.json[1], b"}"]))
    }
}

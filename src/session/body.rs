//! The body of an event as it goes out: rendered once, shared by everybody who gets it.
//!
//! Lives on: every core; never shared between cores but for the immutable bytes.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;

use crate::base::clock::Time;
use crate::session::packed::Packed;
use crate::wire::event::EventName;
use crate::wire::model::arrival::Arrival;

/// A body that many sessions refer to.
pub type SharedBody = Rc<EventBody>;

/// The `d` of an event with its name: in one piece, or in two of which the second is one session's own.
#[derive(Debug)]
pub struct EventBody {
    /// `t`.
    pub name: EventName,
    /// When it happened; starts the latency clock.
    pub published: Time,
    json: Bytes,
    arrival: Option<Box<Arrival>>,
    /// What was compressed of it.
    pub(super) packed: Packed,
    charge: Option<Rc<Charge>>,
}

/// Counts the bytes of bodies, for as long as anybody holds them.
#[derive(Debug, Clone, Default)]
pub struct ByteBudget(Rc<Cell<u64>>);

impl ByteBudget {
    /// Bytes of the bodies that live.
    pub fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// What a body was counted with.
#[derive(Debug)]
struct Charge {
    budget: ByteBudget,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.set(self.budget.bytes() - self.bytes);
    }
}

/// Bytes of an arrival, roughly; only backlogs are reckoned with it.
const ARRIVAL_BYTES: usize = 500;

impl EventBody {
    /// A body in one piece.
    pub fn new(name: EventName, json: Bytes, published: Time) -> SharedBody {
        Rc::new(EventBody { name, published, json, arrival: None, packed: Packed::default(), charge: None })
    }

    /// The same, counted.
    pub fn counted(name: EventName, json: Bytes, published: Time, budget: &ByteBudget) -> SharedBody {
        let bytes = json.len() as u64;
        budget.0.set(budget.bytes() + bytes);
        let charge = Some(Rc::new(Charge { budget: budget.clone(), bytes }));
        Rc::new(EventBody { name, published, json, arrival: None, packed: Packed::default(), charge })
    }

    /// The same text, told at another time: it is counted once, and compressed once.
    pub fn again(&self, published: Time) -> SharedBody {
        let (json, packed, charge) = (self.json.clone(), self.packed.clone(), self.charge.clone());
        Rc::new(EventBody { name: self.name, published, json, arrival: self.arrival.clone(), packed, charge })
    }

    /// GUILD_CREATE for one session: what all have in common, and the session's own part.
    pub fn arrival(common: Bytes, arrival: Arrival, published: Time) -> SharedBody {
        let arrival = Some(Box::new(arrival));
        let packed = Packed::default();
        Rc::new(EventBody { name: EventName::GuildCreate, published, json: common, arrival, packed, charge: None })
    }

    /// About how many bytes of JSON it has.
    pub fn size(&self) -> usize {
        self.json.len() + self.arrival.as_ref().map_or(0, |_| ARRIVAL_BYTES)
    }

    /// The JSON, in two pieces. The second is rendered anew each time: it is sent once, as a rule.
    pub fn json(&self) -> (&Bytes, String) {
        (&self.json, self.arrival.as_ref().map(|arrival| arrival.json()).unwrap_or_default())
    }

    /// What of the JSON is the same for all who get it.
    pub(super) fn shared(&self) -> &Bytes {
        &self.json
    }

    /// The session's own part of a GUILD_CREATE.
    pub(super) fn arrival_json(&self) -> Option<String> {
        self.arrival.as_ref().map(|arrival| arrival.json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purse_counts_what_lives() {
        let budget = ByteBudget::default();
        let body = |length: usize| {
            EventBody::counted(EventName::GuildMembersChunk, vec![b'x'; length].into(), Time::default(), &budget)
        };
        let (a, b) = (body(10), body(20));
        let also_a = Rc::clone(&a);
        assert_eq!(budget.bytes(), 30);
        drop((a, b));
        assert_eq!(budget.bytes(), 10);
        let later = also_a.again(Time::from_millis(7));
        drop(also_a);
        assert_eq!((budget.bytes(), later.json().0.len()), (10, 10), "a text is counted once");
        drop(later);
        assert_eq!(budget.bytes(), 0);
    }
}

//! Assemblies: the bytes of a write, put together once for all sessions that are sent the same events.
//!
//! Lives on: every core.
//! The sessions of an audience are sent the same stretch of its journal at about the same time, each with numbers of
//! its own. So the frames are put together for the first of them; for the others only the numbers are written over,
//! where they have as many digits.
//! Invariant: `bytes` are whole frames, numbered from `s` on, one number at each of `places`.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::{Rc, Weak};

use crate::base::clock::Time;
use crate::limits;
use crate::net::compression::Format;
use crate::session::dispatch;
use crate::session::journal::{Journal, SharedJournal};
use crate::session::packed::TextId;
use crate::session::packing::{Packer, StreamPosition};
use crate::session::replay::{Lost, Replay};

/// What sessions were lately sent. One for a core.
#[derive(Debug, Default)]
pub struct Assemblies {
    /// For stretches of journals, by form and by the digits of the first number: an audience's sessions came at
    /// different times.
    shared: [Assembly; limits::ASSEMBLIES],
    /// For what one session alone is sent.
    own: Assembly,
}

/// The bytes of a write, and what they are made of.
#[derive(Debug, Default)]
pub struct Assembly {
    of: Option<Stretch>,
    /// The first event's number.
    s: u64,
    /// Where the numbers stand.
    places: Vec<usize>,
    /// What is written.
    pub bytes: Vec<u8>,
    /// Bytes of the bodies of its events.
    pub bodies: u64,
    /// When its events were published.
    pub published: Vec<Time>,
    /// What a compressed stream ends with after it.
    pub last_text: Option<TextId>,
    /// Writes since they were last told.
    writes: u64,
}

/// Events of a journal, in one form.
#[derive(Debug, Clone)]
struct Stretch {
    /// Weak: it tells the journal from all others without keeping its events.
    journal: Weak<RefCell<Journal>>,
    from: u64,
    count: u64,
    format: Option<Format>,
    last_text: Option<TextId>,
}

impl Assemblies {
    /// What a session is to be sent from number `s` on. `front` goes before it; `last_text` is what its compressed
    /// stream ends with. With `alone` no other session is sent the same. `told` receives the publishing times, and how
    /// often they were written, of what makes room for it.
    ///
    /// An error means that events are gone which the session should have got: it is over, and what is left can still be
    /// sent.
    pub fn next(
        &mut self,
        replay: &Replay,
        s: u64,
        alone: bool,
        front: &mut Vec<u8>,
        format: Option<Format>,
        last_text: Option<TextId>,
        packer: &mut Packer,
        told: &mut impl FnMut(Time, u64),
    ) -> (&mut Assembly, Result<(), Lost>) {
        let count = replay.next_s() - s;
        let stretch = replay.stretch_from(s).filter(|_| !alone && front.is_empty());
        let Some((journal, from)) = stretch else {
            let assembly = &mut self.own;
            assembly.tell(told);
            let result = assembly.assemble(replay, s, front, format, last_text, packer);
            return (assembly, result);
        };
        let form = match format {
            None => 0,
            Some(Format::Zlib) => 1,
            Some(Format::Zstd) => 2,
        };
        let assembly = &mut self.shared[(3 * dispatch::digits(s) as usize + form) % limits::ASSEMBLIES];
        if assembly.is_of(journal, from, count, format, last_text) && assembly.renumber(s) {
            return (assembly, Ok(()));
        }
        assembly.tell(told);
        let result = assembly.assemble(replay, s, front, format, last_text, packer);
        assembly.of =
            result.is_ok().then(|| Stretch { journal: Rc::downgrade(journal), from, count, format, last_text });
        (assembly, result)
    }

    /// Tells the publishing times of all that was written since they were last told, and how often.
    pub fn tell(&mut self, told: &mut impl FnMut(Time, u64)) {
        for assembly in self.shared.iter_mut().chain([&mut self.own]) {
            assembly.tell(told);
        }
    }
}

impl Assembly {
    /// Notes that it was written. The first `again` events do not count: they were late through the client's absence.
    pub fn written(&mut self, again: usize) {
        self.writes += 1;
        self.published.drain(..again.min(self.published.len()));
    }

    fn tell(&mut self, told: &mut impl FnMut(Time, u64)) {
        if self.writes > 0 {
            for published in &self.published {
                told(*published, self.writes);
            }
            self.writes = 0;
        }
    }

    fn is_of(
        &self,
        journal: &SharedJournal,
        from: u64,
        count: u64,
        format: Option<Format>,
        last_text: Option<TextId>,
    ) -> bool {
        self.of.as_ref().is_some_and(|of| {
            std::ptr::eq(Weak::as_ptr(&of.journal), Rc::as_ptr(journal))
                && (of.from, of.count, of.format, of.last_text) == (from, count, format, last_text)
        })
    }

    /// Has its events numbered from `s` on, if that leaves their lengths as they are.
    fn renumber(&mut self, s: u64) -> bool {
        if s == self.s {
            return true;
        }
        let last = self.places.len().saturating_sub(1) as u64;
        let width = dispatch::digits(s);
        if [s + last, self.s, self.s + last].into_iter().any(|other| dispatch::digits(other) != width) {
            return false;
        }
        for (number, at) in (s..).zip(&self.places) {
            dispatch::renumber(&mut self.bytes, *at, number);
        }
        self.s = s;
        true
    }

    fn assemble(
        &mut self,
        replay: &Replay,
        s: u64,
        front: &mut Vec<u8>,
        format: Option<Format>,
        mut last_text: Option<TextId>,
        packer: &mut Packer,
    ) -> Result<(), Lost> {
        let Assembly { of, bytes, bodies, places, published, .. } = self;
        *of = None;
        *bodies = 0;
        if bytes.capacity() > limits::ASSEMBLY_BYTES_KEPT {
            // A guild with all its members has been written.
            *bytes = Vec::new();
        }
        bytes.clear();
        bytes.append(front);
        places.clear();
        published.clear();
        let result = replay.each_from(s, |s, body, before| {
            places.push(match format {
                None => dispatch::write_dispatch(bytes, body, s),
                Some(format) => {
                    let place =
                        StreamPosition { format, before: before.map(|before| &**before), last_text: &mut last_text };
                    dispatch::write_packed(bytes, body, s, place, packer)
                }
            });
            published.push(body.published);
            *bodies += body.size() as u64;
            if bytes.len() < limits::FLUSH_BYTES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.s = s;
        self.last_text = last_text;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use crate::session::body::EventBody;
    use crate::wire::event::EventName;

    /// Of a session that has been sent everything below `s`.
    fn replay(s: u64) -> Replay {
        let mut replay = Replay::default();
        if s > 1 {
            replay.push_shared(&SharedJournal::default(), 0, s - 1);
            replay.trim(s);
        }
        replay
    }

    fn message(number: u64) -> crate::session::body::SharedBody {
        let json = format!("{{\"content\":\"{}\"}}", "word ".repeat(number as usize % 60));
        EventBody::new(EventName::MessageCreate, json.into(), Time::from_millis(number))
    }

    /// A session is sent the same bytes, whichever sessions were served before it.
    #[test]
    fn every_session_is_sent_its_own_numbers() {
        let (mut packer, mut prng) = (Packer::default(), Prng::new(7));
        let mut assemblies = Assemblies::default();
        let (mut told, mut written) = (0, 0);
        let journals: Vec<SharedJournal> = (0..3).map(|_| Rc::default()).collect();
        let mut reused = 0;
        for round in 0..300 {
            let journal = &journals[prng.below(3) as usize];
            let from = journal.borrow().end();
            let count = 1 + prng.below(12);
            for number in 0..count {
                journal.borrow_mut().push(message(round + number));
            }
            let format = [None, Some(Format::Zlib), Some(Format::Zstd)][prng.below(3) as usize];
            for _ in 0..8 {
                // Around the numbers at which a digit is gained, and far from them.
                let s = (10_u64.pow(1 + prng.below(5) as u32) + prng.below(20)).saturating_sub(prng.below(20)).max(1);
                let mut replay = replay(s);
                let missed = prng.below(count);
                replay.push_shared(journal, from + missed, count - missed);
                let mut alone = Assembly::default();
                alone.assemble(&replay, s, &mut Vec::new(), format, None, &mut packer).unwrap();
                let before = packer.work;
                let mut each = |_, times| told += times;
                let (assembly, result) =
                    assemblies.next(&replay, s, false, &mut Vec::new(), format, None, &mut packer, &mut each);
                assert_eq!(result, Ok(()));
                assert_eq!(packer.work, before, "nothing is compressed twice");
                assert!(assembly.bytes == alone.bytes, "{format:?} from {s}");
                assert_eq!((&assembly.published, assembly.last_text), (&alone.published, alone.last_text));
                reused += u64::from(assembly.writes > 0);
                assembly.written(0);
                written += count - missed;
            }
        }
        assemblies.tell(&mut |_, times| told += times);
        assert_eq!(told, written, "each event of each write is told once");
        assert!(reused > 200, "{reused}");
    }

    #[test]
    fn what_is_the_sessions_own_is_sent_to_it_alone() {
        let mut assemblies = Assemblies::default();
        let mut packer = Packer::default();
        let mut first = replay(5);
        first.push_own(message(3));
        let mut front = b"front".to_vec();
        let (assembly, _) = assemblies.next(&first, 5, false, &mut front, None, None, &mut packer, &mut |_, _| {});
        assert!(front.is_empty() && assembly.bytes.starts_with(b"front\x81"));
        assembly.written(0);
        let mut second = replay(5);
        second.push_own(message(4));
        let mut told = Vec::new();
        let mut each = |published: Time, times| told.push((published.millis(), times));
        let (assembly, _) = assemblies.next(&second, 5, true, &mut Vec::new(), None, None, &mut packer, &mut each);
        assert_eq!((assembly.bytes[0], told), (0x81, vec![(3, 1)]));
    }

    #[test]
    fn what_was_large_leaves_no_room_behind() {
        let mut assemblies = Assemblies::default();
        let mut packer = Packer::default();
        for (length, room) in [(3 * limits::ASSEMBLY_BYTES_KEPT, usize::MAX), (10, limits::ASSEMBLY_BYTES_KEPT)] {
            let mut replay = replay(5);
            replay.push_own(EventBody::new(EventName::MessageCreate, vec![b'x'; length].into(), Time::default()));
            let (assembly, _) =
                assemblies.next(&replay, 5, false, &mut Vec::new(), None, None, &mut packer, &mut |_, _| {});
            assert!(assembly.bytes.len() > length && assembly.bytes.capacity() <= room);
        }
    }

    #[test]
    fn a_journal_that_is_gone_is_not_taken_for_its_successor() {
        let mut assemblies = Assemblies::default();
        let mut packer = Packer::default();
        for number in 0..50 {
            let journal: SharedJournal = Rc::default();
            journal.borrow_mut().push(message(number));
            let mut replay = replay(7);
            replay.push_shared(&journal, 0, 1);
            let (assembly, _) =
                assemblies.next(&replay, 7, false, &mut Vec::new(), None, None, &mut packer, &mut |_, _| {});
            assert_eq!(assembly.published, [Time::from_millis(number)]);
        }
    }
}

//! Which streams a thread's sessions are entitled to, from when until when, and what of them they have received.
//!
//! A session's time in a stream begins when the guild's GUILD_CREATE comes (or, if the script knows no guilds, when the
//! session becomes live), at the first event that is intended then or later; in streams of those who look at a guild,
//! when the server has taken notice that the session does. It ends with the guild's GUILD_DELETE, or when the session
//! does. A session that is cut and resumes keeps its times: nothing may be missing.

use std::sync::Arc;
use std::time::Duration;

use crate::base::limits;
use crate::model::script::{Duty, Kind, Mark, Named, Script};
use crate::verify::delivery_table::DeliveryTable;
use crate::verify::receipts::{Receipt, Taken};

/// The times and receipts of one thread's sessions.
#[derive(Debug)]
pub struct Entitlements {
    script: Arc<Script>,
    events: Arc<DeliveryTable>,
    /// By session and stream, as the script lists them, from that of the thread's first session on.
    receipts: Vec<Receipt>,
    offset: usize,
    /// By kind: whether every entitled session must receive it.
    must: [bool; Kind::COUNT],
    /// When the traffic begins and how fast it goes, once that is known.
    traffic: Option<(u64, f64)>,
}

/// Why a session's time in a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The run wanted it so. What was under way need not have come.
    Wanted,
    /// The server did not keep the session: what it has missed until now is lost.
    Refused,
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventVerdict {
    /// What it means that it came.
    pub taken: Taken,
    /// Which it is.
    pub mark: Mark,
    /// What it is.
    pub kind: Kind,
}

impl Entitlements {
    /// No session is entitled to anything yet. The thread has the sessions from `first` up to, but not including,
    /// `end`.
    pub fn new(script: Arc<Script>, events: Arc<DeliveryTable>, first: u32, end: u32) -> Entitlements {
        let start = |session: u32| script.starts.get(session as usize).map_or(script.entitled.len(), |at| *at as usize);
        let (offset, after) = (start(first), start(end));
        let mut receipts = Vec::new();
        receipts.resize_with(after - offset, Receipt::default);
        let must = Kind::ALL.map(|kind| script.duty(kind) == Duty::All);
        Entitlements { script, events, receipts, offset, must, traffic: None }
    }

    /// What the sessions may see and do.
    pub fn script(&self) -> &Arc<Script> {
        &self.script
    }

    /// The table of events.
    pub fn events(&self) -> &Arc<DeliveryTable> {
        &self.events
    }

    /// The traffic begins at this time and goes so many times as fast as the script says.
    pub fn announce_traffic(&mut self, start_ns: u64, speed: f64) {
        self.traffic = Some((start_ns, speed));
    }

    /// When something is intended that happens so many microseconds after the beginning; 0 as long as that is unknown.
    pub fn intended_ns(&self, at_us: u64) -> u64 {
        self.traffic.map_or(0, |(start, speed)| start + (at_us as f64 * 1e3 / speed) as u64)
    }

    /// A session's streams and receipts.
    pub fn of(&self, session: u32) -> impl Iterator<Item = (u32, &Receipt)> {
        let streams = self.script.streams_of(session);
        let at = self.place(session);
        streams.iter().copied().zip(&self.receipts[at..at + streams.len()])
    }

    /// The numbers of the guilds that a session is entitled to now.
    pub fn guilds_of(&self, session: u32) -> Vec<u32> {
        let mut guilds: Vec<u32> = self
            .of(session)
            .filter(|(_, receipt)| receipt.from().is_some())
            .map(|(stream, _)| self.script.guild_of[stream as usize])
            .collect();
        guilds.sort_unstable();
        guilds.dedup();
        guilds
    }

    /// A guild's number by its id.
    pub fn guild(&self, id: u64) -> Option<u32> {
        self.script.guilds.get(&id).copied()
    }

    /// A session is in a guild from now on.
    pub fn begin_guild(&mut self, session: u32, guild: u32, now_ns: u64) {
        self.begin(session, now_ns, |script, stream| {
            script.guild_of[stream as usize] == guild && !script.is_looked_at(stream)
        });
    }

    /// The server knows that a session looks at these guilds.
    pub fn begin_looking(&mut self, session: u32, guilds: &[u32], now_ns: u64) {
        self.begin(session, now_ns, |script, stream| {
            script.is_looked_at(stream) && guilds.contains(&script.guild_of[stream as usize])
        });
    }

    /// A session is live: that is all that there is to know if the script knows no guilds.
    pub fn begin_all(&mut self, session: u32, now_ns: u64) {
        if self.script.guilds.is_empty() {
            self.begin(session, now_ns, |_, _| true);
        }
    }

    fn begin(&mut self, session: u32, now_ns: u64, which: impl Fn(&Script, u32) -> bool) {
        let at_us = self.moment_us(now_ns);
        let at = self.place(session);
        for (place, stream) in self.script.streams_of(session).iter().enumerate() {
            let receipt = &mut self.receipts[at + place];
            if receipt.from().is_none() && which(&self.script, *stream) {
                let from = self.script.first_from(*stream, at_us);
                receipt.begin(from);
                self.events.begin(*stream, from);
            }
        }
    }

    /// A session is no longer in a guild.
    pub fn end_guild(&mut self, session: u32, guild: u32, now_ns: u64) {
        self.end(session, now_ns, Ending::Wanted, |script, stream| script.guild_of[stream as usize] == guild);
    }

    /// A session is over.
    pub fn end_all(&mut self, session: u32, now_ns: u64, ending: Ending) {
        self.end(session, now_ns, ending, |_, _| true);
    }

    fn end(&mut self, session: u32, now_ns: u64, ending: Ending, which: impl Fn(&Script, u32) -> bool) {
        // What was under way when it ended need not have come. What is older than all patience must have.
        let ago = |time: Duration| self.moment_us(now_ns.saturating_sub(time.as_nanos() as u64));
        let (least_us, most_us) = match ending {
            Ending::Wanted => (ago(limits::STALL_TIME), ago(limits::OVERTAKING_TIME)),
            Ending::Refused => (ago(Duration::ZERO), ago(Duration::ZERO)),
        };
        let at = self.place(session);
        for (place, stream) in self.script.streams_of(session).iter().enumerate() {
            let receipt = &mut self.receipts[at + place];
            if receipt.from().is_some() && which(&self.script, *stream) {
                let first = |at_us: u64| self.script.first_from(*stream, at_us);
                let until = receipt.end(first(least_us), first(most_us));
                self.events.end(*stream, until);
            }
        }
    }

    /// A session has received an event that says which it is. `None`: the script has no such event of this kind.
    pub fn take(&mut self, session: u32, kind: Kind, mark: Mark) -> Option<EventVerdict> {
        let stream = self.script.streams.get(mark.stream as usize)?;
        if *stream.kinds.get(mark.index as usize)? != kind {
            return None;
        }
        let streams = self.script.streams_of(session);
        let taken = match streams.iter().position(|stream| *stream == mark.stream) {
            None => Taken::Leaked,
            Some(place) => {
                let at = self.place(session) + place;
                let must = &self.must;
                self.receipts[at].take(mark.index, |index| must[stream.kinds[index as usize] as usize])
            }
        };
        Some(EventVerdict { taken, mark, kind })
    }

    /// A session has received an event that names something. `guild` is the id of the guild that it says it is of.
    pub fn take_named(&mut self, session: u32, named: Named, guild: Option<u64>) -> Option<EventVerdict> {
        // A user may type again before the first event has arrived: the first comes first.
        // The same person in another guild is another event.
        let guild = guild.and_then(|id| self.guild(id));
        let is_there =
            |mark: &Mark| guild.is_none_or(|guild| self.script.guild_of.get(mark.stream as usize) == Some(&guild));
        let mark = self.script.ledger.find(named, is_there, |mark| self.awaits(session, *mark))?;
        self.take(session, named.kind, mark)
    }

    /// Whether a session is entitled to an event and has not received it.
    fn awaits(&self, session: u32, mark: Mark) -> bool {
        let receipt = self.of(session).find(|(stream, _)| *stream == mark.stream).map(|(_, receipt)| receipt);
        receipt.is_some_and(|receipt| receipt.from().is_some_and(|from| mark.index >= from) && !receipt.has(mark.index))
    }

    fn place(&self, session: u32) -> usize {
        self.script.starts.get(session as usize).map_or(0, |at| *at as usize - self.offset)
    }

    /// How far the script is, in microseconds since its beginning.
    fn moment_us(&self, now_ns: u64) -> u64 {
        self.traffic.map_or(0, |(start, speed)| (now_ns.saturating_sub(start) as f64 * speed / 1e3).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::script::Stream;
    use std::collections::HashMap;

    /// Two guilds with ids 10 and 11; the first has a hidden channel that only session 0 sees. An event a second in
    /// each.
    fn script() -> Arc<Script> {
        let stream =
            || Stream { kinds: vec![Kind::Message; 30], at_us: (0..30).map(|second| second * 1_000_000).collect() };
        Arc::new(Script {
            streams: vec![stream(), stream(), stream()],
            entitled: vec![0, 1, 2, 0, 2],
            starts: vec![0, 3, 5],
            guild_of: vec![0, 0, 1],
            guilds: HashMap::from([(10, 0), (11, 1)]),
            ..Script::default()
        })
    }

    fn taken(entitlements: &mut Entitlements, session: u32, stream: u32, index: u32) -> Option<Taken> {
        let verdict = entitlements.take(session, Kind::Message, Mark { stream, index, intended_ns: 0 });
        verdict.map(|verdict| verdict.taken)
    }

    #[test]
    fn sessions_are_entitled_from_when_they_come_until_they_leave() {
        let script = script();
        let events = Arc::new(DeliveryTable::new(&script));
        let mut all = Entitlements::new(script, events.clone(), 0, 2);
        let second = |seconds: u64| 1_000_000_000 * seconds;
        all.begin_guild(0, 0, second(1));
        all.announce_traffic(second(100), 2.0);
        assert_eq!((all.intended_ns(4_000_000), all.guilds_of(0)), (second(102), vec![0]));
        assert_eq!(taken(&mut all, 0, 0, 0), Some(Taken::New));
        assert_eq!(taken(&mut all, 0, 2, 0), Some(Taken::Leaked), "it is not there yet");
        all.begin_guild(0, 1, second(102));
        assert_eq!(taken(&mut all, 0, 2, 3), Some(Taken::Early));
        assert_eq!(taken(&mut all, 0, 2, 4), Some(Taken::New));
        all.begin_guild(1, 0, second(105));
        assert_eq!(taken(&mut all, 1, 1, 10), Some(Taken::Leaked), "it does not see the hidden channel");
        assert_eq!(taken(&mut all, 1, 0, 30), None, "there is no such event");
        all.end_guild(0, 0, second(112));
        assert_eq!(taken(&mut all, 0, 0, 9), Some(Taken::Leaked));
        assert_eq!(all.guilds_of(0), [1]);
        // What was intended 10 s before the end had to come; nothing did after the first.
        assert_eq!(events.entitled(0)[..10], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(events.entitled(0)[10..], [1; 20]);
        assert_eq!((events.entitled(1)[3], events.entitled(1)[4]), (1, 0));
        assert_eq!((events.entitled(2)[3], events.entitled(2)[4]), (0, 1));
    }

    #[test]
    fn names_stand_for_the_events_of_one_guild() {
        let script = script();
        let events = Arc::new(DeliveryTable::new(&script));
        let mut all = Entitlements::new(script.clone(), events, 1, 2);
        all.begin_guild(1, 0, 0);
        let named = Named { kind: Kind::Message, id: 77 };
        assert_eq!(all.take_named(1, named, None), None);
        script.ledger.expect(named, Mark { stream: 0, index: 5, intended_ns: 1 });
        assert_eq!(all.take_named(1, named, Some(11)), None);
        assert_eq!(all.take_named(1, named, Some(10)).map(|verdict| verdict.taken), Some(Taken::New));
        assert_eq!(all.take_named(1, named, None).map(|verdict| verdict.taken), Some(Taken::Again));
        assert_eq!(
            all.of(1).map(|(stream, receipt)| (stream, receipt.has(5))).collect::<Vec<_>>(),
            [(0, true), (2, false)]
        );
    }
}

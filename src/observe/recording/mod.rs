//! Recording: notes of all cores become one trace (`docs/TRACE.md`), in the order of their times.
//!
//! Lives on: a [`Recorder`] on each core, everything else on a thread of its own, `recorder`.
//! A core pushes into a ring of its own and never waits: what a full ring has no room for is counted and said in the
//! trace. The thread looks into all rings every [`limits::RECORD_PAUSE`], holds what it finds for
//! [`limits::RECORD_WINDOW`] to put it in order, and writes a frame every [`limits::RECORD_FRAME_TIME`]. When it cannot
//! write it says so once and goes; the cores notice and make no more notes. It ends when all cores have let go of their
//! rings.
//! Read next: `trace_writer` (numbers and lines), `sink` (the file).

pub mod sink;
pub mod trace_writer;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::base::clock::{self, Time};
use crate::base::fatal::Fatal;
use crate::limits;
use crate::mail::record::{TraceEvent, TraceRecord};
use crate::observe::recording::sink::TraceSink;
use crate::observe::recording::trace_writer::TraceWriter;

/// What goes through a ring.
#[derive(Debug)]
enum Entry {
    TraceRecord(TraceRecord),
    /// So many notes had no room before this moment.
    Lost(Time, u64),
}

impl Entry {
    fn at(&self) -> Time {
        match self {
            Entry::TraceRecord(note) => note.at,
            Entry::Lost(at, _) => *at,
        }
    }
}

/// A core's end: takes notes and never waits.
#[derive(Debug)]
pub struct Recorder {
    ring: Producer<Entry>,
    /// Declarations that the ring had no room for: without them nothing about their guilds could be written.
    owed: VecDeque<TraceRecord>,
    lost: u64,
    last: Time,
}

impl Recorder {
    /// Takes what a turn has noted. Says whether anybody still writes.
    pub fn take(&mut self, notes: Vec<TraceRecord>) -> bool {
        if self.ring.is_abandoned() {
            return false;
        }
        while let Some(note) = self.owed.pop_front() {
            if let Some(note) = self.push(note) {
                self.owed.push_front(note);
                break;
            }
        }
        if self.lost > 0 && self.has_room() {
            self.confess();
        }
        for note in notes {
            self.last = note.at;
            match self.push(note) {
                Some(note) if matches!(note.deed, TraceEvent::Guild(_)) => self.owed.push_back(note),
                Some(_) => self.lost += 1,
                None => {}
            }
        }
        true
    }

    /// Hands the note back if there is no room.
    fn push(&mut self, note: TraceRecord) -> Option<TraceRecord> {
        if !self.has_room() {
            return Some(note);
        }
        match self.ring.push(Entry::TraceRecord(note)) {
            Ok(()) => None,
            Err(_) => unreachable!("only this end fills it, and there was room"),
        }
    }

    /// One place is kept for the last confession.
    fn has_room(&self) -> bool {
        self.ring.slots() > 1
    }

    fn confess(&mut self) {
        if self.ring.push(Entry::Lost(self.last, self.lost)).is_ok() {
            self.lost = 0;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.lost += self.owed.len() as u64;
        if self.lost > 0 {
            self.confess();
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct Recording {
    thread: JoinHandle<Option<u64>>,
    path: PathBuf,
}

impl Recording {
    /// Begins a recording into a new file. There is a [`Recorder`] for each core.
    pub fn begin(path: &Path, cores: usize) -> Result<(Recording, Vec<Recorder>), Fatal> {
        let shown = path.display();
        let mut sink = TraceSink::create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Fatal(format!("the trace {shown} exists already: choose another name for --record-trace"))
            }
            _ => Fatal(format!("the trace {shown} cannot be written: {error}")),
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default();
        let (writer, header) = TraceWriter::begin(name, clock::now());
        sink.put(&header).map_err(|error| Fatal(format!("the trace {shown} cannot be written: {error}")))?;
        let (producers, rings): (Vec<_>, Vec<_>) =
            (0..cores).map(|_| RingBuffer::new(limits::RECORD_QUEUE + 1)).unzip();
        let recorders = producers
            .into_iter()
            .map(|ring| Recorder { ring, owed: VecDeque::new(), lost: 0, last: Time::default() })
            .collect();
        let thread = RecorderThread::new(rings, writer, sink);
        let handle = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| Fatal(format!("cannot start a thread: {error}")))?;
        Ok((Recording { thread: handle, path: path.to_owned() }, recorders))
    }

    /// Waits until everything is written; all recorders must be gone. Says where it is and how many lines it has,
    /// unless writing has failed, which the log has said.
    pub fn finish(self) -> Option<(PathBuf, u64)> {
        let lines = self.thread.join().unwrap_or_else(|_| {
            tracing::error!("the recorder panicked: the trace ends before that");
            None
        })?;
        Some((self.path, lines))
    }
}

/// What the thread has.
struct RecorderThread {
    rings: Vec<Consumer<Entry>>,
    /// By time, then by arrival.
    held: BinaryHeap<Reverse<Held>>,
    arrivals: u64,
    writer: TraceWriter,
    sink: TraceSink,
    plain: Vec<u8>,
    frame_at: Time,
}

/// An entry that waits for its place in the order.
#[derive(Debug)]
struct Held {
    arrival: u64,
    entry: Entry,
}

impl Held {
    fn key(&self) -> (Time, u64) {
        (self.entry.at(), self.arrival)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Held) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl RecorderThread {
    fn new(rings: Vec<Consumer<Entry>>, writer: TraceWriter, sink: TraceSink) -> RecorderThread {
        RecorderThread {
            rings,
            held: BinaryHeap::new(),
            arrivals: 0,
            writer,
            sink,
            plain: Vec::new(),
            frame_at: clock::now(),
        }
    }

    /// Writes until all recorders are gone. Says how many lines there are; `None` if writing has failed.
    fn run(mut self) -> Option<u64> {
        loop {
            // Looked at first: what was pushed before the end is then there to be taken.
            let over = self.rings.iter().all(Consumer::is_abandoned);
            if let Err(error) = self.round(clock::now(), over) {
                tracing::error!(%error, "the trace cannot be written any more: recording has stopped, the server goes on");
                return None;
            }
            if over {
                return Some(self.writer.lines());
            }
            std::thread::sleep(limits::RECORD_PAUSE);
        }
    }

    /// Takes what there is and writes what is due.
    fn round(&mut self, now: Time, over: bool) -> io::Result<()> {
        for ring in &mut self.rings {
            for _ in 0..ring.slots() {
                let Ok(entry) = ring.pop() else { break };
                self.held.push(Reverse(Held { arrival: self.arrivals, entry }));
                self.arrivals += 1;
            }
        }
        let due = now.nanos().saturating_sub(limits::RECORD_WINDOW.as_nanos() as u64);
        while let Some(Reverse(held)) = self.held.peek()
            && (over || held.entry.at().nanos() <= due)
        {
            let Some(Reverse(Held { entry, .. })) = self.held.pop() else { break };
            match entry {
                Entry::TraceRecord(note) => self.writer.write(&note, &mut self.plain),
                Entry::Lost(_, count) => self.writer.lose(count),
            }
            if self.plain.len() >= limits::RECORD_FRAME_BYTES {
                self.end_frame(now)?;
            }
        }
        if over {
            self.writer.end(&mut self.plain);
            self.end_frame(now)?;
            self.sink.sync()?;
        } else if now.since(self.frame_at) >= limits::RECORD_FRAME_TIME {
            self.end_frame(now)?;
        }
        Ok(())
    }

    fn end_frame(&mut self, now: Time) -> io::Result<()> {
        self.frame_at = now;
        if !self.plain.is_empty() {
            self.sink.put(&self.plain)?;
            self.plain.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{ChannelId, GuildId, UserId};
    use crate::mail::record::{ChannelPlace, Declaration};
    use crate::store::scratch::Scratch;
    use serde_json::Value;

    const CHANNEL: ChannelId = ChannelId::new(9);

    /// Recorders and a writer that is moved by hand, and where it writes.
    fn begin(cores: usize, room: usize) -> (Vec<Recorder>, RecorderThread, Scratch, Time) {
        let folder = Scratch::new();
        let now = clock::now();
        let (writer, header) = TraceWriter::begin("test", now);
        let mut sink = TraceSink::create(&folder.join("trace")).unwrap();
        sink.put(&header).unwrap();
        let (producers, rings): (Vec<_>, Vec<_>) = (0..cores).map(|_| RingBuffer::new(room + 1)).unzip();
        let recorder = |ring| Recorder { ring, owed: VecDeque::new(), lost: 0, last: now };
        (producers.into_iter().map(recorder).collect(), RecorderThread::new(rings, writer, sink), folder, now)
    }

    fn read(folder: &Scratch) -> Vec<Value> {
        let bytes = std::fs::read(folder.join("trace")).unwrap();
        let text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn guild(at: Time) -> TraceRecord {
        let channels = vec![ChannelPlace { channel: CHANNEL, voice: false, viewers: None }];
        let guild = GuildId::new(7);
        let declaration = Declaration { guild, members: 1, online: 0, roles: 0, counted: 0, channels };
        TraceRecord { at, deed: TraceEvent::Guild(Box::new(declaration)) }
    }

    fn typing(at: Time, who: u64) -> TraceRecord {
        TraceRecord { at, deed: TraceEvent::Typing { channel: CHANNEL, who: UserId::new(who) } }
    }

    fn after(began: Time, millis: u64) -> Time {
        Time::from_nanos(began.nanos() + millis * 1_000_000)
    }

    #[test]
    fn notes_of_all_cores_are_put_in_the_order_of_their_times() {
        let (mut recorders, mut thread, folder, began) = begin(3, 100);
        recorders[2].take(vec![guild(began)]);
        for millis in 0..30 {
            let note = typing(after(began, 10 + millis), millis);
            assert!(recorders[(millis % 3) as usize].take(vec![note]));
        }
        // Younger than the window: held.
        let (window, frame) = (limits::RECORD_WINDOW, limits::RECORD_FRAME_TIME);
        thread.round(after(began, 20) + window, false).unwrap();
        recorders[0].take(vec![typing(after(began, 25), 100)]);
        thread.round(after(began, 50) + window + frame, false).unwrap();
        drop(recorders);
        let lines = read(&folder);
        let times: Vec<u64> = lines.iter().map(|line| line["at"].as_u64().unwrap()).collect();
        assert_eq!(times.len(), 32);
        assert!(times.is_sorted(), "{times:?}");
        // Numbers are given in the order of the lines, so the one that came late is met in its place.
        let people: Vec<u64> = lines[1..].iter().map(|line| line["who"].as_u64().unwrap()).collect();
        assert!(people.is_sorted(), "{people:?}");
    }

    #[test]
    fn a_full_ring_loses_and_says_so_but_never_a_declaration() {
        let (mut recorders, mut thread, folder, began) = begin(1, 4);
        let mut recorder = recorders.pop().unwrap();
        recorder.take((0..10).map(|who| typing(began, who)).chain([guild(began)]).collect());
        thread.round(began, false).unwrap();
        recorder.take((0..2).map(|who| typing(after(began, 1), who)).collect());
        drop(recorder);
        thread.round(after(began, 2), true).unwrap();
        let lines = read(&folder);
        // 4 came before the guild was declared, 6 had no room.
        let lost: u64 = lines.iter().filter_map(|line| line["lines"].as_u64()).sum();
        assert_eq!(lost, 10, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line["do"] == "guild").count(), 1);
        assert_eq!(lines.iter().filter(|line| line["do"] == "typing").count(), 2);
    }

    #[test]
    fn what_is_lost_at_the_very_end_is_said_too() {
        let (mut recorders, mut thread, folder, began) = begin(1, 2);
        let mut recorder = recorders.pop().unwrap();
        recorder.take([guild(began)].into_iter().chain((0..5).map(|who| typing(began, who))).collect());
        drop(recorder);
        thread.round(began, true).unwrap();
        let lines = read(&folder);
        assert_eq!(lines.last().unwrap()["lines"], 4, "{lines:?}");
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_the_cores_notice() {
        let (mut recorders, mut thread, _folder, _) = begin(1, 2);
        thread.sink = TraceSink::over(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let long_ago = Time::from_millis(0);
        assert!(recorders[0].take(vec![guild(long_ago)]));
        assert_eq!(thread.run(), None);
        assert!(!recorders[0].take(vec![typing(long_ago, 1)]));
    }

    #[test]
    fn a_recording_ends_with_its_recorders_and_has_everything() {
        let folder = Scratch::new();
        let path = folder.join("trace");
        let (recording, mut recorders) = Recording::begin(&path, 2).unwrap();
        let now = clock::now();
        recorders[0].take(vec![guild(now)]);
        recorders[1].take((1..100).map(|who| typing(after(now, 1), who)).collect());
        drop(recorders);
        assert_eq!(recording.finish(), Some((path.clone(), 100)));
        assert_eq!(read(&folder).len(), 100);
        let refused = Recording::begin(&path, 2).err().unwrap();
        assert!(refused.0.contains("exists already"), "{refused}");
    }
}

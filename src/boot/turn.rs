//! Turns: letters in, letters out, a slice flushed, again.
//!
//! Lives on: each core, as the one task that moves its shard.
//! A turn is bounded ([`limits::TURN_LETTERS`], [`limits::FLUSH_SLICE`]); between two of them the core's other tasks
//! run.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use futures_lite::io::AsyncReadExt;

use crate::base::clock::{self, Time};
use crate::base::metrics::{Counter, Metric};
use crate::desk::Desk;
use crate::gateway::conversation::Conversation;
use crate::gateway::door::Door;
use crate::gateway::writer::SocketWriter;
use crate::limits;
use crate::mail::letter::Letter;
use crate::mail::note::Note;
use crate::mail::outbox::StoreJob;
use crate::mesh::reactor::Rounds;
use crate::mesh::wakeup::Wakeup;
use crate::mesh::{IncomingLanes, LaneEnds, Lanes};
use crate::observe::recording::Recorder;
use crate::store::service::Job;

/// A letter on a lane, with the moment of its posting.
#[derive(Debug)]
pub struct Posted {
    /// When.
    pub at: Time,
    /// What.
    pub letter: Letter,
}

/// Moves a core's shard.
pub struct Turns {
    desk: Desk,
    door: Door,
    /// The sockets of the door.
    writer: SocketWriter<Conversation>,
    lanes: Lanes<Posted>,
    inbox: IncomingLanes<Posted>,
    wakeup: Wakeup,
    /// Jobs that the store's queue had no room for.
    jobs: VecDeque<StoreJob>,
    /// While the shard records.
    recorder: Option<Recorder>,
    stop: Rc<Cell<bool>>,
}

impl Turns {
    /// A mover that ends when `stop` is set and a turn requested.
    pub fn new(
        desk: Desk,
        door: Door,
        writer: SocketWriter<Conversation>,
        ends: LaneEnds<Posted>,
        recorder: Option<Recorder>,
        stop: Rc<Cell<bool>>,
    ) -> Turns {
        desk.shard().record(recorder.is_some());
        let LaneEnds { lanes, inbox, mut wakeup } = ends;
        glommio::spawn_local(listen(wakeup.listen(), desk.clone())).detach();
        Turns { desk, door, writer, lanes, inbox, wakeup, jobs: VecDeque::new(), recorder, stop }
    }

    /// Moves until told to stop.
    pub async fn run(mut self) {
        let mut rounds = Rounds::default();
        while !self.stop.get() {
            while self.turn() && !self.stop.get() {
                rounds.round().await;
            }
            self.wakeup.park();
            if self.inbox.is_empty() && !self.lanes.can_go_on() {
                self.desk.turn_requested().await;
            }
            self.wakeup.unpark();
        }
        let out = self.desk.take_outbox();
        self.record(out.notes);
    }

    /// One turn. Says whether there is more to do at once.
    fn turn(&mut self) -> bool {
        let began = clock::now();
        self.receive();
        let mut room = limits::TURN_LETTERS;
        loop {
            let taken = self.work(began, room);
            self.send();
            room -= taken;
            // What it has written to itself belongs to the same turn: what comes of it goes out with the same write.
            if room == 0 || self.desk.letters() == 0 {
                break;
            }
        }
        // Once: what lists tell this core's own sessions are letters to itself.
        if self.desk.shard().has_to_settle() {
            self.desk.with(|shard, out| shard.attend_lists(began, out));
            self.send();
        }
        let more = self.flush();
        let took = clock::now().since(began);
        self.desk.shard().metrics().record(Metric::TurnLength, took);
        more || self.desk.letters() > 0 || !self.inbox.is_empty() || self.desk.shard().has_to_settle()
    }

    fn receive(&mut self) {
        self.lanes.pump();
        let desk = &self.desk;
        // While letters to itself fill a turn, others wait in their lanes.
        let room = limits::TURN_LETTERS.saturating_sub(desk.letters());
        self.inbox.take(room, |Posted { at, letter }| {
            // Not the turn's beginning: it may lie before the posting.
            desk.shard().metrics().record(Metric::LaneHop, clock::now().since(at));
            desk.deliver(at, letter);
        });
    }

    /// Takes up to `room` letters out of the mailbox. Says how many there were.
    fn work(&mut self, now: Time, room: usize) -> usize {
        let mut taken = 0;
        while taken < room
            && let Some((_, letter)) = self.desk.next_letter()
        {
            self.desk.with(|shard, out| shard.receive(now, letter, out));
            taken += 1;
        }
        if self.desk.shard().has_to_settle() {
            self.desk.with(|shard, out| shard.settle(now, out));
        }
        taken
    }

    /// Sends what was left in the outbox, by letters received or by the doors.
    fn send(&mut self) {
        let out = self.desk.take_outbox();
        let now = clock::now();
        let (mut sent, mut full) = (0, 0);
        for (to, letter) in out.letters {
            if to == self.desk.me() {
                self.desk.deliver(now, letter);
            } else {
                sent += 1;
                let lane = self.desk.placement().local_core(to).expect("today all sites are of this node");
                full += u64::from(self.lanes.send(lane, Posted { at: now, letter }));
            }
        }
        if sent > 0 {
            let mut shard = self.desk.shard();
            shard.metrics().count(Counter::LettersSent, sent);
            shard.metrics().count(Counter::LanesFull, full);
        }
        self.jobs.extend(out.jobs);
        while let Some(StoreJob { id, work }) = self.jobs.pop_front() {
            if let Err(job) = self.desk.store().try_submit(Job { core: self.desk.me().core.into(), id, work }) {
                // The store's answers request a turn, so the rest is tried again when there is room.
                self.jobs.push_front(StoreJob { id: job.id, work: job.work });
                break;
            }
        }
        for (ticket, answer) in out.answers {
            self.desk.answered(ticket, answer);
        }
        for (ticket, finding) in out.findings {
            self.desk.found(ticket, finding);
        }
        self.record(out.notes);
        for hand_over in out.arrivals {
            let Some(socket) = self.door.fd_passing().receive(hand_over.socket) else {
                // The descriptor table is full. The client finds its connection closed, and its session waits for it.
                self.desk.shard().metrics().count(Counter::HandOversLost, 1);
                continue;
            };
            self.door.adopt(socket, hand_over);
        }
    }

    fn record(&mut self, notes: Vec<Note>) {
        if let Some(recorder) = &mut self.recorder
            && !notes.is_empty()
            && !recorder.take(notes)
        {
            // The recorder has ended.
            self.recorder = None;
            self.desk.shard().record(false);
        }
    }

    fn flush(&mut self) -> bool {
        let more = self.desk.flush(clock::now(), &mut self.writer, limits::FLUSH_SLICE);
        let finished = {
            let mut shard = self.desk.shard();
            // A socket that was full becomes ready by itself when it can take more.
            drop(shard.take_blocked());
            shard.take_finished(limits::FINISHED_SLICE)
        };
        let more = more || finished.len() == limits::FINISHED_SLICE;
        for key in finished {
            self.door.finish(key);
        }
        // A tick is a turn, so no socket lingers much longer than it may.
        let lingering = self.door.table.expire(clock::now());
        more || lingering
    }
}

/// Asks for a turn whenever another core wakes this one.
async fn listen(mut wakeups: glommio::net::UnixStream, desk: Desk) {
    let mut bytes = [0; 64];
    while let Ok(1..) = wakeups.read(&mut bytes).await {
        desk.request_turn();
    }
}

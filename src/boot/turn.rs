//! The executor's part of a turn: when to run one, when to wait, and what a turn's host is on a real core.
//!
//! Lives on: each core, as the one task that moves its shard.
//! The turn itself is [`shard::turn`](crate::shard::turn), which the simulator runs too. Between two turns the core's
//! other tasks run.

use std::cell::Cell;
use std::rc::Rc;

use futures_lite::io::AsyncReadExt;

use crate::base::clock::{self, Time};
use crate::base::metrics::{Counter, Metric};
use crate::base::slab::Key;
use crate::desk::Desk;
use crate::gateway::conversation::Conversation;
use crate::gateway::door::Door;
use crate::gateway::writer::SocketWriter;
use crate::limits;
use crate::mail::ask::{Answer, Ticket};
use crate::mail::local::HandOver;
use crate::mail::mailbox::{Mail, MailboxItem};
use crate::mail::outbox::Outbox;
use crate::mail::record::TraceRecord;
use crate::mail::site::Site;
use crate::mesh::reactor::Rounds;
use crate::mesh::wakeup::Wakeup;
use crate::mesh::{IncomingLanes, LaneEnds, Lanes};
use crate::observe::recording::Recorder;
use crate::shard::Shard;
use crate::shard::turn::{Posted, Turn, TurnBudget, TurnHost};
use crate::store::service::{Job, Work};
use crate::store::{Found, StoreError};

const BUDGET: TurnBudget =
    TurnBudget { letters: limits::TURN_LETTERS, sockets: limits::FLUSH_SLICE, finished: limits::FINISHED_SLICE };

/// Mail on a lane, with the moment of its posting.
#[derive(Debug)]
pub struct LaneMail {
    /// When.
    pub at: Time,
    /// What.
    pub mail: Mail,
}

/// Moves a core's shard.
pub struct Turns {
    turn: Turn,
    host: CoreHost,
    wakeup: Wakeup,
    stop: Rc<Cell<bool>>,
}

/// What a turn needs of its core.
struct CoreHost {
    desk: Desk,
    door: Door,
    /// The sockets of the door.
    writer: SocketWriter<Conversation>,
    lanes: Lanes<LaneMail>,
    inbox: IncomingLanes<LaneMail>,
    /// While the shard records.
    recorder: Option<Recorder>,
}

impl Turns {
    /// A mover that ends when `stop` is set and a turn requested.
    pub fn new(
        desk: Desk,
        door: Door,
        writer: SocketWriter<Conversation>,
        ends: LaneEnds<LaneMail>,
        recorder: Option<Recorder>,
        stop: Rc<Cell<bool>>,
    ) -> Turns {
        desk.shard().record(recorder.is_some());
        let LaneEnds { lanes, inbox, mut wakeup } = ends;
        glommio::spawn_local(listen(wakeup.listen(), desk.clone())).detach();
        Turns { turn: Turn::default(), host: CoreHost { desk, door, writer, lanes, inbox, recorder }, wakeup, stop }
    }

    /// Runs turns until `stop` is set.
    pub async fn run(mut self) {
        let mut rounds = Rounds::default();
        while !self.stop.get() {
            while self.turn.run(&mut self.host, BUDGET) && !self.stop.get() {
                rounds.round().await;
            }
            self.wakeup.park();
            if self.host.inbox.is_empty() && !self.host.lanes.can_go_on() {
                self.host.desk.turn_requested().await;
            }
            self.wakeup.unpark();
        }
        let records = self.host.with(|_, out| std::mem::take(&mut out.notes));
        if !records.is_empty() {
            self.host.record(records);
        }
    }
}

impl TurnHost for CoreHost {
    fn now(&self) -> Time {
        clock::now()
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Shard, &mut Outbox) -> R) -> R {
        self.desk.in_turn(act)
    }

    fn collect(&mut self, most: usize) {
        self.lanes.pump();
        let desk = &self.desk;
        self.inbox.take(most, |LaneMail { at, mail }| {
            // Not the turn's beginning: it may lie before the posting.
            desk.shard().metrics().record(Metric::LaneHop, clock::now().since(at));
            desk.deliver(mail.into());
        });
    }

    fn has_more_to_collect(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn mailbox_len(&self) -> usize {
        self.desk.mailbox_len()
    }

    fn next_item(&mut self) -> Option<MailboxItem> {
        self.desk.next_item()
    }

    fn post(&mut self, to: Site, mail: Mail) -> Posted {
        if to == self.desk.me() {
            self.desk.deliver(mail.into());
            return Posted::Here;
        }
        // The one place where a site becomes a lane. Mail to another node would leave here, over a link.
        let lane = self.desk.placement().local_core(to).expect("today all sites are of this node");
        Posted::Away { lane_full: self.lanes.send(lane, LaneMail { at: clock::now(), mail }) }
    }

    fn submit(&mut self, id: u64, work: Work) -> Result<(), (u64, Work)> {
        let job = Job { core: self.desk.me().core.into(), id, work };
        self.desk.store().try_submit(job).map_err(|job| (job.id, job.work))
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.desk.answered(ticket, answer);
    }

    fn found(&mut self, ticket: Ticket, finding: Result<Found, StoreError>) {
        self.desk.found(ticket, finding);
    }

    fn record(&mut self, records: Vec<TraceRecord>) -> bool {
        let writes = self.recorder.as_mut().is_none_or(|recorder| recorder.take(records));
        if !writes {
            self.recorder = None;
        }
        writes
    }

    fn adopt(&mut self, hand_over: HandOver) {
        let Some(socket) = self.door.fd_passing().receive(hand_over.socket) else {
            // The descriptor table is full. The client finds its connection closed, and its session waits for it.
            return self.desk.shard().metrics().count(Counter::HandOversLost, 1);
        };
        self.door.adopt(socket, hand_over);
    }

    fn flush(&mut self, budget: usize) -> bool {
        let writer = &mut self.writer;
        self.desk.in_turn(|shard, out| shard.flush(clock::now(), writer, budget, out))
    }

    fn finish(&mut self, key: Key) {
        self.door.finish(key);
    }

    fn expire(&mut self) -> bool {
        self.door.table.expire(clock::now())
    }
}

/// Requests a turn whenever another core wakes this one.
async fn listen(mut wakeups: glommio::net::UnixStream, desk: Desk) {
    let mut bytes = [0; 64];
    while let Ok(1..) = wakeups.read(&mut bytes).await {
        desk.request_turn();
    }
}

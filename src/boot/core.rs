//! One core: the tasks of its executor, from start to end.
//!
//! Lives on: each core. Read next: `entrance.rs` for new connections, `turn.rs` for the loop.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flume::{Receiver, Sender};
use glommio::timer::sleep;
use socket2::Socket;

use crate::base::clock;
use crate::base::metrics::{Counter, Metric, Metrics};
use crate::boot::entrance::Entrance;
use crate::boot::listener::Listener;
use crate::boot::signals::Signal;
use crate::boot::tables::{Room, Split};
use crate::boot::turn::{LaneMail, Turns};
use crate::desk::Desk;
use crate::desk::settings::Settings;
use crate::gateway::door::Door;
use crate::gateway::socket_table::SocketTable;
use crate::gateway::writer::{SocketWriter, WriteMode};
use crate::limits;
use crate::mail::ask::Actor;
use crate::mesh::fd_passing::FdPassing;
use crate::mesh::{LaneEnds, reactor};
use crate::net::socket::SocketKind;
use crate::observe::recording::Recorder;
use crate::operate::core_command::CoreCommand;
use crate::operate::raw_send;
use crate::rest::RestDoor;
use crate::shard::{Shard, ShardSettings};
use crate::store::service::{Outcome, StoreEnd};
use crate::store::token::Signer;

/// Signals the process when a core panics: what the core owned is lost, and the other cores would wait for its letters.
#[derive(Debug)]
pub struct PanicGuard(pub Sender<Signal>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Signal::CoreLost);
        }
    }
}

/// What a core is started with.
pub struct CoreParts {
    /// Settings of the shard.
    pub shard: ShardSettings,
    /// Settings of the doors.
    pub settings: Settings,
    /// Checks and issues tokens.
    pub signer: Signer,
    /// This core's end of the store's queues.
    pub store: StoreEnd,
    /// The folder for files of requests under way.
    pub spool: PathBuf,
    /// The lanes' ends.
    pub lanes: LaneEnds<LaneMail>,
    /// Passes sockets to other cores.
    pub fd_passing: FdPassing,
    /// The listener.
    pub listener: Socket,
    /// Where it listens.
    pub address: SocketAddr,
    /// Room for connections.
    pub room: Room,
    /// How long its executor sleeps at most.
    pub longest_sleep: Duration,
    /// How writes are handed to the kernel, if configured.
    pub flush: Option<WriteMode>,
    /// The separation into descriptor tables, if each core has its own.
    pub split: Option<Arc<Split>>,
    /// This core's end of the recording, if the process records.
    pub recorder: Option<Recorder>,
    /// Commands of the process.
    pub commands: Receiver<CoreCommand>,
    /// Receives one message once the core serves, or the reason why it cannot.
    pub ready: Sender<io::Result<()>>,
    /// Held while the core lives.
    pub panic_guard: PanicGuard,
}

/// Runs a core until [`CoreCommand::Stop`]. Returns what it measured.
pub async fn run(parts: CoreParts) -> Metrics {
    let ready = parts.ready.clone();
    match start(parts) {
        Ok(core) => {
            let _ = ready.send(Ok(()));
            core.turns.run().await;
            drop(core.panic_guard);
            core.desk.shard().metrics().clone()
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            Metrics::default()
        }
    }
}

/// A core whose tasks run.
struct RunningCore {
    desk: Desk,
    turns: Turns,
    panic_guard: PanicGuard,
}

/// Opens what a core needs and spawns its tasks.
fn start(parts: CoreParts) -> io::Result<RunningCore> {
    let CoreParts { shard, settings, signer, store, spool, lanes, fd_passing, listener, address, room, split, .. } =
        parts;
    let CoreParts { recorder, commands, panic_guard, longest_sleep, flush, .. } = parts;
    if let Some(split) = split {
        split.separate(usize::from(shard.me.core))?;
    }
    let (me, placement) = (shard.me, shard.placement.clone());
    let desk = Desk::new(me, placement, settings, signer, store.clone(), Shard::new(shard));
    let kind = if room.is_direct() { SocketKind::RegisteredFile } else { SocketKind::Descriptor };
    let sockets = SocketTable::new(kind)?;
    let door = Door::new(desk.clone(), sockets, fd_passing);
    let writer = SocketWriter::new(door.table.clone(), flush)
        .map_err(|error| io::Error::new(error.kind(), format!("no io_uring for batched writes: {error}")))?;
    glommio::spawn_local(reactor::bound_sleep(longest_sleep)).detach();
    glommio::spawn_local(collect(desk.clone(), store)).detach();
    glommio::spawn_local(tick(desk.clone())).detach();
    glommio::spawn_local(door.clone().listen()).detach();
    let stop = Rc::new(Cell::new(false));
    let entrance = Entrance::new(address, room, door.clone(), RestDoor::new(desk.clone(), spool));
    let accepting = glommio::spawn_local(entrance.accept(Listener::adopt(listener)));
    glommio::spawn_local(execute(commands, door.clone(), accepting, Rc::clone(&stop))).detach();
    let turns = Turns::new(desk.clone(), door, writer, lanes, recorder, stop);
    Ok(RunningCore { desk, turns, panic_guard })
}

/// Brings the store's answers to the desk.
async fn collect(desk: Desk, store: StoreEnd) {
    while let Ok(answer) = store.answers.recv_async().await {
        if answer.result == Ok(Outcome::Committed) {
            let mut shard = desk.shard();
            shard.metrics().record(Metric::StoreCommit, answer.committed_in);
            shard.metrics().count(Counter::StoreCommits, 1);
        }
        desk.store_answered(answer.id, answer.result);
    }
}

async fn tick(desk: Desk) {
    loop {
        sleep(limits::TICK).await;
        desk.with(|shard, out| shard.tick(clock::now(), out));
    }
}

/// Executes the process's commands.
async fn execute(commands: Receiver<CoreCommand>, door: Door, accepting: glommio::Task<()>, stop: Rc<Cell<bool>>) {
    let desk = door.desk.clone();
    let mut accepting = Some(accepting);
    while let Ok(command) = commands.recv_async().await {
        match command {
            CoreCommand::Measure(reply) => {
                let _ = reply.send(desk.shard().metrics().clone());
            }
            CoreCommand::Ask(request, reply) => {
                let desk = desk.clone();
                glommio::spawn_local(async move {
                    let answer = desk.ask(Actor::Operator, None, *request).await;
                    let _ = reply.send(answer);
                })
                .detach();
            }
            CoreCommand::RawSend(frames, slice, reply) => {
                let door = door.clone();
                glommio::spawn_local(async move {
                    let _ = reply.send(raw_send::write_to_all(&door, &frames, slice).await);
                })
                .detach();
            }
            CoreCommand::Drain(time, done) => {
                if let Some(accepting) = accepting.take() {
                    accepting.cancel().await;
                }
                drain(&desk, time).await;
                let _ = done.send(());
            }
            CoreCommand::Stop => {
                stop.set(true);
                desk.request_turn();
                return;
            }
        }
    }
}

/// Closes all connections in paced batches, and waits for the store jobs under way.
async fn drain(desk: &Desk, time: Duration) {
    let deadline = clock::now() + time;
    let (_, connections) = desk.shard().population();
    // Spread over half of the time: the other half is for the last connections to close.
    let rounds = (time.as_millis() / 2 / limits::DRAIN_PAUSE.as_millis()).max(1) as usize;
    let batch = connections.div_ceil(rounds).max(limits::DRAIN_BATCH_MIN);
    while clock::now() < deadline {
        let more = desk.with(|shard, out| shard.drain(clock::now(), batch, out));
        let awaits = desk.shard().awaits_store();
        if !more && !awaits {
            break;
        }
        sleep(limits::DRAIN_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_guard_signals_a_lost_core_only_on_panic() {
        let (sender, signals) = flume::bounded(2);
        let ends = PanicGuard(sender.clone());
        std::thread::spawn(move || drop(ends)).join().unwrap();
        assert!(signals.try_recv().is_err());
        let panics = PanicGuard(sender);
        let panicked = std::thread::spawn(move || {
            let _held = panics;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(signals.try_recv(), Ok(Signal::CoreLost));
    }
}

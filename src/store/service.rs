//! The store's threads, and the ends through which cores and commands reach them.
//!
//! Lives on: `store-writer`, `store-reader-N`, `store-walker` and `store-password`, threads of their own; a
//! [`StoreEnd`] lives on its core.
//! Promises: every job that was taken is answered exactly once, also when a thread panics over it; the commits of one
//! core are carried out in the order of submission; a query that was submitted after a commit's answer sees that
//! commit.
//! Invariant: jobs and answers that a core has outstanding are bounded, so nothing here ever waits for a core.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use flume::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::base::clock::{self, Time};
use crate::limits;
use crate::store::backend::{Backend, Store};
use crate::store::password::{Password, check_password, hash_password};
use crate::store::{Commit, Found, Query, StoreError, Write};

/// Something for the store's threads to do.
#[derive(Debug)]
pub struct Job {
    /// The core that is to be answered.
    pub core: u16,
    /// Minted by that core; comes back in the [`StoreAnswer`].
    pub id: u64,
    /// What.
    pub work: Work,
}

/// What a [`Job`] asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Carried out by the one writer, many commits together. → [`Outcome::Committed`]
    Commit(Commit),
    /// Answered by any reader, in no order. → [`Outcome::Found`]
    Query(Query),
    /// Done by the thread for passwords. → [`Outcome::Hashed`], [`Outcome::Checked`]
    Password(PasswordWork),
}

/// What is to be done with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordWork {
    /// Hash a new one.
    Hash(Password),
    /// Compare one with a PHC string.
    Check {
        /// As typed.
        password: Password,
        /// The argon2 hash that the account has.
        phc: String,
    },
}

/// What came of a job.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Durable.
    Committed,
    /// The answer to a query.
    Found(Found),
    /// The PHC string of a password.
    Hashed(String),
    /// Whether it was the password.
    Checked(bool),
}

/// The answer to a [`Job`].
#[derive(Debug)]
pub struct StoreAnswer {
    /// The job's id.
    pub id: u64,
    /// What came of it.
    pub result: Result<Outcome, StoreError>,
    /// From submission to the answer: waiting and, for commits, making durable.
    pub committed_in: Duration,
}

/// Where an answer goes.
#[derive(Debug)]
enum Asker {
    Core(u16),
    Caller(Sender<StoreAnswer>),
}

/// Where and when a job came from.
#[derive(Debug)]
struct JobOrigin {
    asker: Asker,
    id: u64,
    asked: Time,
}

/// What goes through a queue.
#[derive(Debug)]
enum QueueItem<T> {
    Do(JobOrigin, T),
    /// To one thread: the first that takes it ends.
    Stop,
}

/// The senders of answers, one per core; cloned into every thread.
///
/// They are unbounded, so that no thread waits for a core. What can be in them is bounded all the same: a core whose
/// uncollected answers reach [`limits::STORE_QUEUE`] gets its jobs back.
#[derive(Debug, Clone)]
struct AnswerSenders(Vec<Sender<StoreAnswer>>);

impl AnswerSenders {
    fn answer(&self, origin: JobOrigin, result: Result<Outcome, StoreError>) {
        let JobOrigin { asker, id, asked } = origin;
        let answer = StoreAnswer { id, result, committed_in: clock::now().since(asked) };
        // An asker that has ended needs no answer.
        let _ = match asker {
            Asker::Core(core) => self.0[usize::from(core)].send(answer),
            Asker::Caller(caller) => caller.send(answer),
        };
    }
}

/// The ways to the threads.
#[derive(Debug, Clone)]
struct Queues {
    commits: Sender<QueueItem<Commit>>,
    queries: Sender<QueueItem<Query>>,
    /// Queries that take long have a thread of their own, so that the others do not wait behind them.
    walks: Sender<QueueItem<Query>>,
    passwords: Sender<QueueItem<PasswordWork>>,
}

/// The other ends of [`Queues`].
#[derive(Debug, Clone)]
struct QueueEnds {
    commits: Receiver<QueueItem<Commit>>,
    queries: Receiver<QueueItem<Query>>,
    walks: Receiver<QueueItem<Query>>,
    passwords: Receiver<QueueItem<PasswordWork>>,
}

fn queues() -> (Queues, QueueEnds) {
    let (commits, committing) = flume::bounded(limits::STORE_QUEUE);
    let (queries, reading) = flume::bounded(limits::STORE_QUEUE);
    let (walks, walking) = flume::bounded(limits::STORE_QUEUE);
    let (passwords, hashing) = flume::bounded(limits::PASSWORD_QUEUE);
    let ends = QueueEnds { commits: committing, queries: reading, walks: walking, passwords: hashing };
    (Queues { commits, queries, walks, passwords }, ends)
}

/// What becomes of a job when its queue is full.
#[derive(Clone, Copy)]
enum WhenFull {
    GiveBack,
    Wait,
}

fn put<T>(queue: &Sender<QueueItem<T>>, how: WhenFull, origin: JobOrigin, work: T) -> Result<(), T> {
    let item = QueueItem::Do(origin, work);
    let back = match how {
        WhenFull::GiveBack => queue.try_send(item).map_err(TrySendError::into_inner),
        WhenFull::Wait => queue.send(item).map_err(flume::SendError::into_inner),
    };
    match back {
        Ok(()) | Err(QueueItem::Stop) => Ok(()),
        Err(QueueItem::Do(_, work)) => Err(work),
    }
}

impl Queues {
    fn put(&self, how: WhenFull, origin: JobOrigin, work: Work) -> Result<(), Work> {
        match work {
            Work::Commit(commit) => put(&self.commits, how, origin, commit).map_err(Work::Commit),
            Work::Query(query) => {
                let queue = if query.is_long() { &self.walks } else { &self.queries };
                put(queue, how, origin, query).map_err(Work::Query)
            }
            Work::Password(work) => put(&self.passwords, how, origin, work).map_err(Work::Password),
        }
    }

    /// Whether all threads still take jobs.
    fn are_open(&self) -> bool {
        let Queues { commits, queries, walks, passwords } = self;
        let closed = commits.is_disconnected()
            || queries.is_disconnected()
            || walks.is_disconnected()
            || passwords.is_disconnected();
        !closed
    }
}

/// One core's way to the store. Clones share the answers.
#[derive(Debug, Clone)]
pub struct StoreEnd {
    queues: Queues,
    cores: usize,
    /// Answers to this core's jobs; for `recv_async`.
    pub answers: Receiver<StoreAnswer>,
}

impl StoreEnd {
    /// Hands a job over without waiting. Gives it back when the queue is full, when this core has not collected its
    /// answers, and after the store has stopped.
    ///
    /// # Panics
    /// If `job.core` is not one of the cores that the service was started with.
    pub fn try_submit(&self, job: Job) -> Result<(), Job> {
        assert!(usize::from(job.core) < self.cores, "a job of core {}, of {} cores", job.core, self.cores);
        if self.answers.len() >= limits::STORE_QUEUE {
            return Err(job);
        }
        let Job { core, id, work } = job;
        let origin = JobOrigin { asker: Asker::Core(core), id, asked: clock::now() };
        self.queues.put(WhenFull::GiveBack, origin, work).map_err(|work| Job { core, id, work })
    }

    /// Whether the threads still take jobs.
    pub fn is_open(&self) -> bool {
        self.queues.are_open()
    }

    /// A way for ordinary threads.
    pub fn caller(&self) -> Caller {
        Caller { queues: self.queues.clone() }
    }
}

/// The way to the store for ordinary threads: the operator's commands.
#[derive(Debug, Clone)]
pub struct Caller {
    queues: Queues,
}

impl Caller {
    /// Does the work and waits for the outcome. Blocks, so never call it on an executor.
    pub fn call(&self, work: Work) -> Result<Outcome, StoreError> {
        let stopped = || StoreError::Failed("the store has stopped".to_owned());
        let (caller, answer) = flume::bounded(1);
        let origin = JobOrigin { asker: Asker::Caller(caller), id: 0, asked: clock::now() };
        self.queues.put(WhenFull::Wait, origin, work).map_err(|_| stopped())?;
        loop {
            match answer.recv_timeout(Duration::from_secs(1)) {
                Ok(answer) => return answer.result,
                Err(RecvTimeoutError::Disconnected) => return Err(stopped()),
                // A job that slipped in behind the last one taken stays in the queue for as long as we hold its sender.
                Err(RecvTimeoutError::Timeout) if !self.queues.are_open() => {
                    return answer.try_recv().map_or_else(|_| Err(stopped()), |answer| answer.result);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// The running threads.
#[derive(Debug)]
pub struct Service {
    secret: [u8; 32],
    queues: Queues,
    /// To answer what is left after the threads have ended.
    left: QueueEnds,
    cores: AnswerSenders,
    writer: JoinHandle<Result<(), StoreError>>,
    readers: Vec<JoinHandle<()>>,
    hasher: JoinHandle<()>,
}

impl Service {
    /// Starts the threads on an open database. Answers with one end per core, by number of the core.
    pub fn start(mut backend: Box<dyn Backend>, cores: usize) -> Result<(Service, Vec<StoreEnd>), StoreError> {
        let secret = backend.secret()?;
        let readers = (0..limits::STORE_READERS).map(|_| backend.reader()).collect::<Result<Vec<_>, StoreError>>()?;
        let walker = backend.reader()?;
        let (queues, left) = queues();
        let (senders, answers): (Vec<_>, Vec<_>) = (0..cores).map(|_| flume::unbounded()).unzip();
        let ends = answers.into_iter().map(|answers| StoreEnd { queues: queues.clone(), cores, answers }).collect();
        let cores = AnswerSenders(senders);

        let mut reader_threads = Vec::new();
        for (number, reader) in readers.into_iter().enumerate() {
            let (queue, cores) = (left.queries.clone(), cores.clone());
            reader_threads.push(spawn(&format!("store-reader-{number}"), move || read_all(reader, &queue, &cores))?);
        }
        let (queue, to_cores) = (left.walks.clone(), cores.clone());
        reader_threads.push(spawn("store-walker", move || read_all(walker, &queue, &to_cores))?);
        let (queue, to_cores) = (left.passwords.clone(), cores.clone());
        let hasher = spawn("store-password", move || hash_all(&queue, &to_cores))?;
        let (queue, to_cores) = (left.commits.clone(), cores.clone());
        // Last: if a thread cannot be started the others end with their queues.
        let writer = spawn("store-writer", move || {
            let mut writer = Writer { backend, sweeping: true, swept: clock::now() };
            writer.run(&queue, &to_cores);
            writer.backend.finish()
        })?;
        Ok((Service { secret, queues, left, cores, writer, readers: reader_threads, hasher }, ends))
    }

    /// The secret that signs tokens.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// The way to the store for ordinary threads.
    pub fn caller(&self) -> Caller {
        Caller { queues: self.queues.clone() }
    }

    /// Finishes everything that was submitted, brings the files in order and ends the threads. Call it when the cores
    /// submit no more; what comes later is given back or answered as failed.
    pub fn stop(self) -> Result<(), StoreError> {
        let Service { queues, left, cores, writer, readers, hasher, secret: _ } = self;
        // A thread that has panicked takes no order; joining it says so.
        for _ in 1..readers.len() {
            let _ = queues.queries.send(QueueItem::Stop);
        }
        let _ = queues.walks.send(QueueItem::Stop);
        let _ = queues.passwords.send(QueueItem::Stop);
        let mut panicked = false;
        for thread in readers.into_iter().chain([hasher]) {
            panicked |= thread.join().is_err();
        }
        // Without readers the log can be emptied to the end.
        let _ = queues.commits.send(QueueItem::Stop);
        let finished = writer.join();
        refuse_rest(&left.commits, &cores);
        refuse_rest(&left.queries, &cores);
        refuse_rest(&left.walks, &cores);
        refuse_rest(&left.passwords, &cores);
        match finished {
            Ok(result) if !panicked => result,
            Ok(_) | Err(_) => Err(StoreError::Failed("a thread of the store panicked".to_owned())),
        }
    }
}

fn refuse_rest<T>(queue: &Receiver<QueueItem<T>>, cores: &AnswerSenders) {
    for item in queue.try_iter() {
        if let QueueItem::Do(origin, _) = item {
            cores.answer(origin, Err(StoreError::Failed("the store has stopped".to_owned())));
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| StoreError::Failed(format!("the thread {name} cannot be started: {error}")))
}

/// A panic over a job is that job's failure and not the thread's end.
///
/// What is left behind is sound: an open transaction rolls back as it unwinds, and nothing else is kept between jobs.
fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let sentence = format!("the store panicked over {what}: {}", words_of(panic.as_ref()));
        tracing::error!("{sentence}");
        StoreError::Failed(sentence)
    })
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(words), _) => words,
        (None, Some(words)) => words,
        (None, None) => "no message",
    }
}

/// The writer: everything that waits becomes one transaction; between two of them, a slice of what is to be swept.
struct Writer {
    backend: Box<dyn Backend>,
    /// There may be something to sweep. At the start, what the last run left.
    sweeping: bool,
    /// When a slice was swept last.
    swept: Time,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<QueueItem<Commit>>, cores: &AnswerSenders) {
        loop {
            let first = if self.sweeping {
                match queue.recv_timeout(limits::STORE_SWEEP_PAUSE) {
                    Ok(first) => first,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        self.sweep();
                        continue;
                    }
                }
            } else {
                let Ok(first) = queue.recv() else { return };
                first
            };
            if self.commit(first, queue, cores) {
                return;
            }
            // Where commits hardly ever pause, a slice has its turn all the same.
            if self.sweeping && queue.is_empty() && clock::now().since(self.swept) >= limits::STORE_SWEEP_PAUSE {
                self.sweep();
            }
        }
    }

    /// Carries out what waits, `first` before all. Says whether the thread is to end.
    fn commit(&mut self, first: QueueItem<Commit>, queue: &Receiver<QueueItem<Commit>>, cores: &AnswerSenders) -> bool {
        let mut stopping = false;
        let mut group: Vec<Commit> = Vec::new();
        let mut origins = Vec::new();
        for item in [first].into_iter().chain(queue.try_iter()) {
            match item {
                QueueItem::Do(origin, commit) => {
                    self.sweeping |= commit.writes.iter().any(Write::leaves_rows);
                    group.push(commit);
                    origins.push(origin);
                }
                QueueItem::Stop => stopping = true,
            }
            if stopping || group.len() == limits::STORE_GROUP_MAX {
                break;
            }
        }
        let results = match guarded("a group of commits", || self.backend.commit(&group)) {
            Ok(results) if results.len() == group.len() => results,
            Ok(_) => vec![Err(StoreError::Failed("the store lost count of its commits".to_owned())); group.len()],
            Err(error) => vec![Err(error); group.len()],
        };
        for (origin, result) in origins.into_iter().zip(results) {
            cores.answer(origin, result.map(|()| Outcome::Committed));
        }
        stopping
    }

    /// A failed slice is tried again after the next deletion, or at the next start.
    fn sweep(&mut self) {
        self.sweeping = match guarded("a sweep", || self.backend.sweep()).flatten() {
            Ok(more) => more,
            Err(error) => {
                tracing::error!(%error, "rows of deleted guilds and channels could not be swept");
                false
            }
        };
        self.swept = clock::now();
    }
}

/// A reader: questions that wait and are quickly answered are asked of one snapshot. It is taken after the last of them
/// came, so each sees what was committed before it was asked.
fn read_all(mut store: Box<dyn Store>, queue: &Receiver<QueueItem<Query>>, cores: &AnswerSenders) {
    let mut stopping = false;
    while !stopping {
        let Ok(first) = queue.recv() else { return };
        let (mut queries, mut origins) = (Vec::new(), Vec::new());
        for item in [first].into_iter().chain(queue.try_iter()) {
            let QueueItem::Do(origin, query) = item else {
                stopping = true;
                break;
            };
            // One that takes long is the last of its group; what comes behind it goes to the other readers.
            let quick = query.is_quick();
            queries.push(query);
            origins.push(origin);
            if !quick || queries.len() == limits::STORE_QUERIES_GROUP {
                break;
            }
        }
        let mut origins = origins.into_iter();
        let mut answer = |result: Result<Found, StoreError>| {
            let origin = origins.next().expect("no more answers than questions");
            cores.answer(origin, result.map(Outcome::Found));
        };
        let mut answered = 0;
        while answered < queries.len() {
            let rest = &queries[answered..];
            let outcome = guarded("a query", || {
                store.read_each(rest, &mut |result| {
                    answered += 1;
                    answer(result);
                })
            });
            if let Err(error) = outcome.flatten() {
                answered += 1;
                answer(Err(error));
            }
        }
    }
}

fn hash_all(queue: &Receiver<QueueItem<PasswordWork>>, cores: &AnswerSenders) {
    while let Ok(QueueItem::Do(origin, work)) = queue.recv() {
        let result = guarded("a password", || match work {
            PasswordWork::Hash(password) => hash_password(&password).map(Outcome::Hashed),
            PasswordWork::Check { password, phc } => Ok(Outcome::Checked(check_password(&password, &phc))),
        });
        cores.answer(origin, result.flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::id::{ChannelId, GuildId, MessageId, UserId};
    use crate::base::virtual_shard::VirtualShard;
    use crate::model::channel::{Channel, ChannelKind};
    use crate::model::guild::GuildSettings;
    use crate::model::message::{Extra, Message};
    use crate::model::user::User;
    use crate::store::backend::Bulk;
    use crate::store::database;
    use crate::store::scratch::Scratch;
    use crate::store::{Anchor, Conflict, Write};

    const GUILD: GuildId = GuildId::new(2);
    const CHANNEL: ChannelId = ChannelId::new(7);

    fn message(id: u64) -> Write {
        let author = User { id: UserId::new(1), username: "a".into(), global_name: None, avatar: None, bot: false };
        Write::CreateMessage(Box::new(Message {
            id: MessageId::new(id),
            channel_id: CHANNEL,
            guild_id: GUILD,
            author,
            content: format!("message {id}"),
            edited_at_ms: None,
            extra: Extra::default(),
        }))
    }

    fn commit(writes: Vec<Write>) -> Work {
        Work::Commit(Commit::of(VirtualShard::of(GUILD), writes))
    }

    /// A database with the channel.
    fn fresh(scratch: &Scratch) -> Box<dyn Backend> {
        let mut backend = database::open(&scratch.join("db")).unwrap();
        let put = Write::PutChannel(Box::new(Channel::new(CHANNEL, GUILD, ChannelKind::Text, "talk".into())));
        backend.commit(&[Commit::of(VirtualShard::of(GUILD), vec![put])]).pop().unwrap().unwrap();
        backend
    }

    fn newest() -> Work {
        Work::Query(Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 1 })
    }

    fn newest_of(outcome: Outcome) -> u64 {
        let Outcome::Found(Found::Messages(messages)) = outcome else { panic!("not messages: {outcome:?}") };
        messages.first().map_or(0, |message| message.id.get())
    }

    #[test]
    fn each_core_gets_its_own_answers_in_the_order_of_its_commits() {
        let scratch = Scratch::new();
        let (service, ends) = Service::start(fresh(&scratch), 3).unwrap();
        for id in 1..=1_500 {
            let core = (id % 3) as u16;
            // Every tenth deletes what is not there, between others that succeed.
            let write = if id % 10 == 0 { Write::DeleteMessage(CHANNEL, MessageId::new(1 << 40)) } else { message(id) };
            ends[usize::from(core)].try_submit(Job { core, id, work: commit(vec![write]) }).unwrap();
        }
        service.stop().unwrap();
        for (core, end) in ends.iter().enumerate() {
            let expected: Vec<u64> = (1..=1_500).filter(|id| *id % 3 == core as u64).collect();
            let mut ids = Vec::new();
            for answer in end.answers.try_iter() {
                let gone = Err(StoreError::Conflict(Conflict::Gone));
                assert_eq!(answer.result, if answer.id % 10 == 0 { gone } else { Ok(Outcome::Committed) });
                assert!(answer.committed_in > Duration::ZERO);
                ids.push(answer.id);
            }
            assert_eq!(ids, expected);
        }
        let mut store = database::open(&scratch.join("db")).unwrap();
        let Ok(Found::Messages(kept)) =
            store.read(&Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 })
        else {
            panic!("no messages")
        };
        assert_eq!(kept.len(), 100);
        assert_eq!(kept[0].id.get(), 1_499);
    }

    #[test]
    fn a_query_after_a_commits_answer_sees_the_commit() {
        let scratch = Scratch::new();
        let (service, ends) = Service::start(fresh(&scratch), 1).unwrap();
        for id in 1..=100 {
            ends[0].try_submit(Job { core: 0, id, work: commit(vec![message(id)]) }).unwrap();
            assert_eq!(ends[0].answers.recv().unwrap().result, Ok(Outcome::Committed));
            ends[0].try_submit(Job { core: 0, id, work: newest() }).unwrap();
            assert_eq!(newest_of(ends[0].answers.recv().unwrap().result.unwrap()), id);
        }
        service.stop().unwrap();
        let log = std::fs::metadata(scratch.join("db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "the log was not copied back");
    }

    #[test]
    fn ordinary_threads_call_and_wait() {
        let scratch = Scratch::new();
        let (service, ends) = Service::start(fresh(&scratch), 1).unwrap();
        let caller = service.caller();
        assert_eq!(caller.call(commit(vec![message(5)])).unwrap(), Outcome::Committed);
        assert_eq!(newest_of(caller.call(newest()).unwrap()), 5);
        let password = Password("x".to_owned());
        let Outcome::Hashed(phc) = caller.call(Work::Password(PasswordWork::Hash(password.clone()))).unwrap() else {
            panic!("no hash")
        };
        assert_eq!(caller.call(Work::Password(PasswordWork::Check { password, phc })).unwrap(), Outcome::Checked(true));
        assert!(ends[0].answers.is_empty(), "a call's answer went to a core");
        let secret = service.secret();
        service.stop().unwrap();

        assert!(caller.call(newest()).unwrap_err().to_string().contains("stopped"));
        let back = ends[0].try_submit(Job { core: 0, id: 9, work: newest() }).unwrap_err();
        assert_eq!(back.id, 9);
        let (service, _ends) = Service::start(fresh(&scratch), 1).unwrap();
        assert_eq!(service.secret(), secret);
        service.stop().unwrap();
    }

    /// A backend that panics over guild 13, waits for `gate` over guild 1, counts groups, and sweeps as often as it is
    /// to.
    #[derive(Clone)]
    struct Odd {
        gate: Receiver<()>,
        groups: Arc<AtomicUsize>,
        sweeps: Arc<AtomicUsize>,
    }

    impl Backend for Odd {
        fn reader(&self) -> Result<Box<dyn Store>, StoreError> {
            Ok(Box::new(self.clone()))
        }

        fn secret(&mut self) -> Result<[u8; 32], StoreError> {
            Ok([0; 32])
        }

        fn sweep(&mut self) -> Result<bool, StoreError> {
            let left = self.sweeps.load(Ordering::SeqCst);
            self.sweeps.store(left.saturating_sub(1), Ordering::SeqCst);
            Ok(left > 1)
        }

        fn relax(&mut self) -> Result<(), StoreError> {
            Ok(())
        }

        fn finish(&mut self) -> Result<(), StoreError> {
            Ok(())
        }

        fn bulk(&mut self) -> Box<dyn Bulk + '_> {
            panic!("it is not written to in bulk")
        }
    }

    impl Store for Odd {
        fn commit(&mut self, commits: &[Commit]) -> Vec<Result<(), StoreError>> {
            self.groups.fetch_add(1, Ordering::SeqCst);
            for write in commits.iter().flat_map(|commit| &commit.writes) {
                let Write::DeleteGuild(guild) = write else { continue };
                assert!(guild.get() != 13, "thirteen");
                if guild.get() == 1 {
                    self.gate.recv().unwrap();
                }
            }
            vec![Ok(()); commits.len()]
        }

        fn read(&mut self, query: &Query) -> Result<Found, StoreError> {
            match query {
                Query::Guild(guild) if guild.get() == 13 => panic!("{} again", "thirteen"),
                Query::Guild(_) => Ok(Found::Guild(None)),
                Query::MembersListed { .. } => {
                    self.gate.recv().unwrap();
                    Ok(Found::Listed(None))
                }
                _ => Err(StoreError::Failed("not asked".to_owned())),
            }
        }
    }

    struct OddService {
        service: Service,
        ends: Vec<StoreEnd>,
        gate: Sender<()>,
        groups: Arc<AtomicUsize>,
        sweeps: Arc<AtomicUsize>,
    }

    fn odd() -> OddService {
        let (open, gate) = flume::unbounded();
        let (groups, sweeps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let store = Odd { gate, groups: groups.clone(), sweeps: sweeps.clone() };
        let (service, ends) = Service::start(Box::new(store), 2).unwrap();
        OddService { service, ends, gate: open, groups, sweeps }
    }

    fn delete(guild: u64) -> Work {
        commit(vec![Write::DeleteGuild(GuildId::new(guild))])
    }

    #[test]
    fn a_panic_fails_its_jobs_and_the_threads_go_on() {
        let OddService { service, ends, .. } = odd();
        let caller = ends[0].caller();
        for _ in 0..3 {
            let error = caller.call(delete(13)).unwrap_err().to_string();
            assert!(error.contains("panicked") && error.contains("thirteen"), "{error}");
            assert_eq!(caller.call(delete(2)).unwrap(), Outcome::Committed);
            let error = caller.call(Work::Query(Query::Guild(GuildId::new(13)))).unwrap_err().to_string();
            assert!(error.contains("thirteen again"), "{error}");
            let found = caller.call(Work::Query(Query::Guild(GuildId::new(2)))).unwrap();
            assert_eq!(found, Outcome::Found(Found::Guild(None)));
        }
        service.stop().unwrap();
    }

    #[test]
    fn a_full_queue_gives_jobs_back_and_what_waits_is_committed_in_groups() {
        let OddService { service, ends, gate, groups, .. } = odd();
        ends[0].try_submit(Job { core: 0, id: 0, work: delete(1) }).unwrap();
        while groups.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        // The writer holds the first; now the queue fills up.
        for id in 1..=limits::STORE_QUEUE as u64 {
            ends[1].try_submit(Job { core: 1, id, work: delete(2) }).unwrap();
        }
        let back = ends[1].try_submit(Job { core: 1, id: 99_999, work: delete(77) }).unwrap_err();
        assert_eq!((back.core, back.id), (1, 99_999));
        assert_eq!(back.work, delete(77));

        gate.send(()).unwrap();
        for id in 1..=limits::STORE_QUEUE as u64 {
            assert_eq!(ends[1].answers.recv().unwrap().id, id);
        }
        assert_eq!(ends[0].answers.recv().unwrap().id, 0);
        assert_eq!(groups.load(Ordering::SeqCst), 1 + limits::STORE_QUEUE / limits::STORE_GROUP_MAX);
        service.stop().unwrap();
    }

    #[test]
    fn other_queries_do_not_wait_behind_a_walk() {
        let OddService { service, ends, gate, .. } = odd();
        let walk = || Work::Query(Query::MembersListed { guild: GuildId::new(2), after: UserId::new(0) });
        for id in 0..3 {
            ends[0].try_submit(Job { core: 0, id, work: walk() }).unwrap();
        }
        let found = ends[1].caller().call(Work::Query(Query::Guild(GuildId::new(2)))).unwrap();
        assert_eq!(found, Outcome::Found(Found::Guild(None)));
        assert!(ends[0].answers.is_empty(), "the walks wait for the gate");
        for _ in 0..3 {
            gate.send(()).unwrap();
        }
        assert_eq!((0..3).map(|_| ends[0].answers.recv().unwrap().id).collect::<Vec<_>>(), [0, 1, 2]);
        service.stop().unwrap();
    }

    #[test]
    fn a_core_that_does_not_collect_its_answers_gets_its_jobs_back() {
        let OddService { service, ends, .. } = odd();
        let mut taken = 0;
        let end = clock::now() + Duration::from_secs(60);
        loop {
            match ends[0].try_submit(Job { core: 0, id: taken, work: delete(2) }) {
                Ok(()) => taken += 1,
                Err(_) if ends[0].answers.len() >= limits::STORE_QUEUE => break,
                Err(_) => std::thread::yield_now(),
            }
            assert!(clock::now() < end);
        }
        assert!(taken <= 2 * limits::STORE_QUEUE as u64 + limits::STORE_GROUP_MAX as u64);
        // Its neighbour is served.
        ends[1].try_submit(Job { core: 1, id: 3, work: delete(2) }).unwrap();
        assert_eq!(ends[1].answers.recv().unwrap().id, 3);
        service.stop().unwrap();
    }

    #[test]
    fn dropping_every_end_stops_the_threads() {
        let scratch = Scratch::new();
        let (service, ends) = Service::start(fresh(&scratch), 1).unwrap();
        let guild = GuildSettings::new(GuildId::new(5), "five".into(), UserId::new(1));
        let put = commit(vec![Write::PutGuild(Box::new(guild))]);
        ends[0].try_submit(Job { core: 0, id: 1, work: put }).unwrap();
        let Service { writer, queues, .. } = service;
        drop((ends, queues));
        writer.join().unwrap().unwrap();
        let mut store = database::open(&scratch.join("db")).unwrap();
        assert!(matches!(store.read(&Query::Guild(GuildId::new(5))), Ok(Found::Guild(Some(_)))));
    }

    fn wait_for(end: Time, what: impl Fn() -> bool) {
        while !what() {
            assert!(clock::now() < end, "it takes too long");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_writer_sweeps_to_the_end_between_commits_and_begins_again_after_a_deletion() {
        let OddService { service, ends, sweeps, .. } = odd();
        let end = clock::now() + Duration::from_secs(60);
        let caller = ends[0].caller();
        for _ in 0..2 {
            sweeps.store(5, Ordering::SeqCst);
            caller.call(delete(2)).unwrap();
            wait_for(end, || sweeps.load(Ordering::SeqCst) <= 2);
            // A commit is carried out meanwhile.
            assert_eq!(caller.call(commit(vec![message(3)])).unwrap(), Outcome::Committed);
            wait_for(end, || sweeps.load(Ordering::SeqCst) == 0);
        }
        service.stop().unwrap();
    }
}

//! The store's threads, and the ends through which cores and commands reach them.
//!
//! Lives on: `store-writer`, `store-reader-N`, `store-walker` and `store-password`, threads of their own; a [`StoreEnd`] lives on its core.
//! Promises: every job that was taken is answered exactly once, also when a thread panics over it; the commits of one core are
//! carried out in the order of submission; a query that was submitted after a commit's answer sees that commit.
//! Invariant: jobs and answers that a core has outstanding are bounded, so nothing here ever waits for a core.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use flume::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::base::clock::{self, Time};
use crate::limits;
use crate::store::password::{Password, check_password, hash_password};
use crate::store::sqlite::SqliteStore;
use crate::store::{Commit, Found, Query, Store, StoreError};

/// Something for the store's threads to do.
#[derive(Debug)]
pub struct Job {
    /// The core that is to be answered.
    pub core: u16,
    /// Minted by that core; comes back in the [`Answer`].
    pub id: u64,
    /// What.
    pub work: Work,
}

/// What a [`Job`] asks for.
#[derive(Debug)]
pub enum Work {
    /// Carried out by the one writer, many commits together. → [`Outcome::Committed`]
    Commit(Commit),
    /// Answered by any reader, in no order. → [`Outcome::Found`]
    Query(Query),
    /// Hashes a new password. → [`Outcome::Hashed`]
    HashPassword(Password),
    /// Compares a password with a PHC string. → [`Outcome::Checked`]
    CheckPassword {
        /// As typed.
        password: Password,
        /// The argon2 hash from [`Found::Login`].
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
pub struct Answer {
    /// The job's id.
    pub id: u64,
    /// What came of it.
    pub result: Result<Outcome, StoreError>,
    /// From submission to the answer: waiting and, for commits, making durable.
    pub committed_in: Duration,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Asker {
    Core(u16),
    Caller(Sender<Answer>),
}

#[derive(Debug)]
struct Waiting {
    asker: Asker,
    id: u64,
    asked: Time,
    work: Work,
}

/// What goes through a queue.
#[derive(Debug)]
enum Order {
    Do(Waiting),
    /// To one thread; it goes to whichever takes it.
    Stop,
}

/// The senders of answers, one per core; cloned into every thread.
///
/// They are unbounded, so that no thread waits for a core. What can be in them is bounded all the same: a core whose
/// uncollected answers reach [`limits::STORE_QUEUE`] gets its jobs back.
#[derive(Debug, Clone)]
struct Cores(Vec<Sender<Answer>>);

impl Cores {
    fn answer(&self, asker: Asker, id: u64, asked: Time, result: Result<Outcome, StoreError>) {
        let answer = Answer { id, result, committed_in: clock::now().since(asked) };
        // An asker that has gone waits for nothing.
        let _ = match asker {
            Asker::Core(core) => self.0[usize::from(core)].send(answer),
            Asker::Caller(caller) => caller.send(answer),
        };
    }
}

/// The ways to the threads.
#[derive(Debug, Clone)]
struct Queues {
    commits: Sender<Order>,
    queries: Sender<Order>,
    /// Queries that take long have a thread of their own, so that nobody else waits behind them.
    walks: Sender<Order>,
    passwords: Sender<Order>,
}

impl Queues {
    fn of(&self, work: &Work) -> &Sender<Order> {
        match work {
            Work::Commit(_) => &self.commits,
            Work::Query(query) if query.is_long() => &self.walks,
            Work::Query(_) => &self.queries,
            Work::HashPassword(_) | Work::CheckPassword { .. } => &self.passwords,
        }
    }
}

/// One core's way to the store. Clones share the answers.
#[derive(Debug, Clone)]
pub struct StoreEnd {
    queues: Queues,
    cores: usize,
    /// Answers to this core's jobs; for `recv_async`.
    pub answers: Receiver<Answer>,
}

impl StoreEnd {
    /// Hands a job over without waiting. Gives it back when the queue is full, when this core has not collected its answers,
    /// and after the store has stopped.
    ///
    /// # Panics
    /// If `job.core` is not one of the cores that the service was started with.
    pub fn try_submit(&self, job: Job) -> Result<(), Job> {
        assert!(usize::from(job.core) < self.cores, "a job of core {}, of {} cores", job.core, self.cores);
        if self.answers.len() >= limits::STORE_QUEUE {
            return Err(job);
        }
        let queue = self.queues.of(&job.work);
        let Job { core, id, work } = job;
        let order = Order::Do(Waiting { asker: Asker::Core(core), id, asked: clock::now(), work });
        match queue.try_send(order) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Order::Do(back)) | TrySendError::Disconnected(Order::Do(back))) => {
                Err(Job { core, id: back.id, work: back.work })
            }
            Err(TrySendError::Full(Order::Stop) | TrySendError::Disconnected(Order::Stop)) => {
                unreachable!("a job was sent")
            }
        }
    }

    /// Whether the threads still take jobs.
    pub fn is_open(&self) -> bool {
        !self.queues.commits.is_disconnected() && !self.queues.queries.is_disconnected()
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
        let queue = self.queues.of(&work);
        let (caller, answer) = flume::bounded(1);
        let order = Order::Do(Waiting { asker: Asker::Caller(caller), id: 0, asked: clock::now(), work });
        queue.send(order).map_err(|_| stopped())?;
        loop {
            match answer.recv_timeout(Duration::from_secs(1)) {
                Ok(answer) => return answer.result,
                Err(RecvTimeoutError::Disconnected) => return Err(stopped()),
                // A job that slipped in behind the last one taken stays in the queue for as long as we hold its sender.
                Err(RecvTimeoutError::Timeout) if queue.is_disconnected() => {
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
    /// The other ends, to answer what is left after the threads have ended.
    left: [Receiver<Order>; 4],
    cores: Cores,
    writer: JoinHandle<Result<(), StoreError>>,
    readers: Vec<JoinHandle<()>>,
    hasher: JoinHandle<()>,
}

impl Service {
    /// Opens the database and starts the threads. Answers with one end per core, by number of the core.
    pub fn start(path: &Path, cores: usize) -> Result<(Service, Vec<StoreEnd>), StoreError> {
        let mut writer = SqliteStore::open(path)?;
        let secret = writer.secret()?;
        let readers =
            (0..limits::STORE_READERS).map(|_| writer.reader()).collect::<Result<Vec<SqliteStore>, StoreError>>()?;
        let walker = writer.reader()?;
        Service::run(writer, readers, walker, |mut writer| writer.checkpoint(), secret, cores)
    }

    /// `finish` is given the writer's store after the last commit.
    fn run<S: Store + 'static>(
        writer: S,
        readers: Vec<S>,
        walker: S,
        finish: fn(S) -> Result<(), StoreError>,
        secret: [u8; 32],
        cores: usize,
    ) -> Result<(Service, Vec<StoreEnd>), StoreError> {
        let (commits, committing) = flume::bounded(limits::STORE_QUEUE);
        let (queries, reading) = flume::bounded(limits::STORE_QUEUE);
        let (walks, walking) = flume::bounded(limits::STORE_QUEUE);
        let (passwords, hashing) = flume::bounded(limits::PASSWORD_QUEUE);
        let queues = Queues { commits, queries, walks, passwords };
        let (senders, answers): (Vec<_>, Vec<_>) = (0..cores).map(|_| flume::unbounded()).unzip();
        let ends = answers.into_iter().map(|answers| StoreEnd { queues: queues.clone(), cores, answers }).collect();
        let cores = Cores(senders);
        let left = [committing.clone(), reading.clone(), walking.clone(), hashing.clone()];

        let mut reader_threads = Vec::new();
        for (number, reader) in readers.into_iter().enumerate() {
            let (queue, cores) = (reading.clone(), cores.clone());
            reader_threads.push(spawn(&format!("store-reader-{number}"), move || read_all(reader, &queue, &cores))?);
        }
        let to_cores = cores.clone();
        reader_threads.push(spawn("store-walker", move || read_all(walker, &walking, &to_cores))?);
        let to_cores = cores.clone();
        let hasher = spawn("store-password", move || hash_all(&hashing, &to_cores))?;
        let to_cores = cores.clone();
        // Last: if a thread cannot be started the others end with their queues.
        let writer = spawn("store-writer", move || {
            let writer = commit_all(writer, &committing, &to_cores);
            finish(writer)
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

    /// Finishes everything that was submitted, copies the write-ahead log back and ends the threads. Call it when the cores
    /// submit no more; what comes later is given back or answered as failed.
    pub fn stop(self) -> Result<(), StoreError> {
        let Service { queues, left, cores, writer, readers, hasher, secret: _ } = self;
        for _ in &readers {
            let _ = queues.queries.send(Order::Stop);
        }
        let _ = queues.walks.send(Order::Stop);
        let _ = queues.passwords.send(Order::Stop);
        let mut panicked = false;
        for thread in readers.into_iter().chain([hasher]) {
            panicked |= thread.join().is_err();
        }
        // Without readers the log can be emptied to the end.
        let _ = queues.commits.send(Order::Stop);
        let finished = writer.join();
        for order in left.iter().flat_map(Receiver::try_iter) {
            if let Order::Do(Waiting { asker, id, asked, work: _ }) = order {
                cores.answer(asker, id, asked, Err(StoreError::Failed("the store has stopped".to_owned())));
            }
        }
        match finished {
            Ok(result) if !panicked => result,
            Ok(_) | Err(_) => Err(StoreError::Failed("a thread of the store panicked".to_owned())),
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
        (None, None) => "no words",
    }
}

/// The writer: everything that waits becomes one transaction.
fn commit_all<S: Store>(mut store: S, queue: &Receiver<Order>, cores: &Cores) -> S {
    let mut stopping = false;
    while !stopping {
        let Ok(first) = queue.recv() else { return store };
        let mut group: Vec<Commit> = Vec::new();
        let mut askers = Vec::new();
        for order in [first].into_iter().chain(queue.try_iter()) {
            match order {
                Order::Do(Waiting { asker, id, asked, work: Work::Commit(commit) }) => {
                    group.push(commit);
                    askers.push((asker, id, asked));
                }
                Order::Do(Waiting {
                    work: Work::Query(_) | Work::HashPassword(_) | Work::CheckPassword { .. },
                    ..
                }) => {
                    unreachable!("the writer's queue holds commits")
                }
                Order::Stop => stopping = true,
            }
            if stopping || group.len() == limits::STORE_GROUP_MAX {
                break;
            }
        }
        let results = guarded("a group of commits", || store.commit(&group));
        let results = match results {
            Ok(results) if results.len() == group.len() => results,
            Ok(_) => vec![Err(StoreError::Failed("the store lost count of its commits".to_owned())); group.len()],
            Err(error) => vec![Err(error); group.len()],
        };
        for ((asker, id, asked), result) in askers.into_iter().zip(results) {
            cores.answer(asker, id, asked, result.map(|()| Outcome::Committed));
        }
    }
    store
}

/// A reader: questions that wait and are quickly answered are asked of one snapshot. It is taken after the last of them came,
/// so each sees what was committed before it was asked.
fn read_all<S: Store>(mut store: S, queue: &Receiver<Order>, cores: &Cores) {
    let mut stopping = false;
    while !stopping {
        let Ok(first) = queue.recv() else { return };
        let (mut queries, mut askers) = (Vec::new(), Vec::new());
        for order in [first].into_iter().chain(queue.try_iter()) {
            let Order::Do(Waiting { asker, id, asked, work }) = order else {
                stopping = true;
                break;
            };
            let Work::Query(query) = work else { unreachable!("the readers' queue holds queries") };
            // Nobody waits behind one that takes long, but for what the other readers do.
            let quick = query.is_quick();
            queries.push(query);
            askers.push((asker, id, asked));
            if !quick || queries.len() == limits::STORE_QUERIES_GROUP {
                break;
            }
        }
        let mut askers = askers.into_iter();
        let mut answer = |result: Result<Found, StoreError>| {
            let (asker, id, asked) = askers.next().expect("no more answers than questions");
            cores.answer(asker, id, asked, result.map(Outcome::Found));
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

fn hash_all(queue: &Receiver<Order>, cores: &Cores) {
    while let Ok(Order::Do(Waiting { asker, id, asked, work })) = queue.recv() {
        let result = guarded("a password", || match work {
            Work::HashPassword(password) => hash_password(&password).map(Outcome::Hashed),
            Work::CheckPassword { password, phc } => Ok(Outcome::Checked(check_password(&password, &phc))),
            Work::Commit(_) | Work::Query(_) => unreachable!("the hasher's queue holds passwords"),
        });
        cores.answer(asker, id, asked, result.flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::id::{ChannelId, GuildId, MessageId, UserId};
    use crate::store::scratch::Scratch;
    use crate::store::{Anchor, Conflict, Write};
    use crate::wire::model::guild::Guild;
    use crate::wire::model::message::{Extra, Message};
    use crate::wire::model::user::User;

    const CHANNEL: ChannelId = ChannelId::new(7);

    fn message(id: u64) -> Write {
        let author = User { id: UserId::new(1), username: "a".into(), global_name: None, avatar: None, bot: false };
        Write::CreateMessage(Box::new(Message {
            id: MessageId::new(id),
            channel_id: CHANNEL,
            guild_id: GuildId::new(2),
            author,
            content: format!("message {id}"),
            edited_at_ms: None,
            extra: Extra::default(),
        }))
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
        let (service, ends) = Service::start(&scratch.join("db"), 3).unwrap();
        for id in 1..=1_500 {
            let core = (id % 3) as u16;
            // Every tenth deletes what is not there, between others that succeed.
            let write = if id % 10 == 0 { Write::DeleteMessage(CHANNEL, MessageId::new(1 << 40)) } else { message(id) };
            ends[usize::from(core)].try_submit(Job { core, id, work: Work::Commit(vec![write]) }).unwrap();
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
        let mut store = SqliteStore::open(&scratch.join("db")).unwrap();
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
        let (service, ends) = Service::start(&scratch.join("db"), 1).unwrap();
        for id in 1..=100 {
            ends[0].try_submit(Job { core: 0, id, work: Work::Commit(vec![message(id)]) }).unwrap();
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
        let (service, ends) = Service::start(&scratch.join("db"), 1).unwrap();
        let caller = service.caller();
        assert_eq!(caller.call(Work::Commit(vec![message(5)])).unwrap(), Outcome::Committed);
        assert_eq!(newest_of(caller.call(newest()).unwrap()), 5);
        let password = Password("x".to_owned());
        let Outcome::Hashed(phc) = caller.call(Work::HashPassword(password.clone())).unwrap() else {
            panic!("no hash")
        };
        assert_eq!(caller.call(Work::CheckPassword { password, phc }).unwrap(), Outcome::Checked(true));
        assert!(ends[0].answers.is_empty(), "a call's answer went to a core");
        let secret = service.secret();
        service.stop().unwrap();

        assert!(caller.call(newest()).unwrap_err().to_string().contains("stopped"));
        let back = ends[0].try_submit(Job { core: 0, id: 9, work: newest() }).unwrap_err();
        assert_eq!(back.id, 9);
        let (service, _ends) = Service::start(&scratch.join("db"), 1).unwrap();
        assert_eq!(service.secret(), secret);
        service.stop().unwrap();
    }

    /// A store that panics over guild 13, waits for `gate` over guild 1, and counts groups.
    struct Odd {
        gate: Receiver<()>,
        groups: Arc<AtomicUsize>,
    }

    impl Store for Odd {
        fn commit(&mut self, commits: &[Commit]) -> Vec<Result<(), StoreError>> {
            self.groups.fetch_add(1, Ordering::SeqCst);
            for write in commits.iter().flatten() {
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
    }

    fn odd() -> OddService {
        let (open, gate) = flume::unbounded();
        let groups = Arc::new(AtomicUsize::new(0));
        let store = || Odd { gate: gate.clone(), groups: groups.clone() };
        let (service, ends) = Service::run(store(), vec![store()], store(), |_| Ok(()), [0; 32], 2).unwrap();
        OddService { service, ends, gate: open, groups }
    }

    fn delete(guild: u64) -> Work {
        Work::Commit(vec![Write::DeleteGuild(GuildId::new(guild))])
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
        let OddService { service, ends, gate, groups } = odd();
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
        assert!(matches!(&back.work, Work::Commit(commit) if *commit == [Write::DeleteGuild(GuildId::new(77))]));

        gate.send(()).unwrap();
        for id in 1..=limits::STORE_QUEUE as u64 {
            assert_eq!(ends[1].answers.recv().unwrap().id, id);
        }
        assert_eq!(ends[0].answers.recv().unwrap().id, 0);
        assert_eq!(groups.load(Ordering::SeqCst), 1 + limits::STORE_QUEUE / limits::STORE_GROUP_MAX);
        service.stop().unwrap();
    }

    #[test]
    fn nobody_waits_behind_a_walk() {
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
        let (service, ends) = Service::start(&scratch.join("db"), 1).unwrap();
        let guild = Guild::new(GuildId::new(5), "five".into(), UserId::new(1));
        let put = Work::Commit(vec![Write::PutGuild(Box::new(guild))]);
        ends[0].try_submit(Job { core: 0, id: 1, work: put }).unwrap();
        let Service { writer, queues, .. } = service;
        drop((ends, queues));
        writer.join().unwrap().unwrap();
        let mut store = SqliteStore::open(&scratch.join("db")).unwrap();
        assert!(matches!(store.read(&Query::Guild(GuildId::new(5))), Ok(Found::Guild(Some(_)))));
    }
}

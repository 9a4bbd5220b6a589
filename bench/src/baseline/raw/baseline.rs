//! The kernel's limit: sends to many loopback sockets, without any server around them.
//!
//! The reader is a process of its own, like a server's clients, since both ends in one process would take twice its
//! descriptors. It connects, as clients do; the sender accepts. [`RawSenders`] has several of both, for more sockets
//! than one descriptor table holds.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::thread::CpuSet;

use crate::base::{clock, descriptor_table, limits, source_address};
use crate::baseline::raw::sender::{How, Piece, Sender};

/// What the reader says when it has read everything that it was told of.
const DONE: u8 = b'.';

/// The sending end.
#[derive(Debug)]
pub struct RawSender {
    sockets: Vec<OwnedFd>,
    reader: Child,
    told: ChildStdin,
    done: ChildStdout,
    sent: u64,
    plain: Sender,
    /// Made when it is first used.
    uring: Option<Sender>,
}

/// What a number of rounds cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendCost {
    /// Sends.
    pub sends: u64,
    /// CPU time of the sending thread, in nanoseconds.
    pub cpu_ns: u64,
    /// Time in all, that of the reader included.
    pub seconds: f64,
}

impl SendCost {
    /// CPU time of one send, in microseconds.
    pub fn cpu_us_per_send(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.sends.max(1) as f64
    }

    /// Adds a turn that came after this one.
    pub fn add(&mut self, later: &SendCost) {
        self.sends += later.sends;
        self.cpu_ns += later.cpu_ns;
        self.seconds += later.seconds;
    }
}

impl RawSender {
    /// Connects so many sockets with a reader.
    pub fn open(sockets: u32) -> io::Result<RawSender> {
        RawSender::open_from(0, sockets)
    }

    /// The same, when `first` sockets are those of others: readers must not share their source addresses' ports.
    fn open_from(first: u32, sockets: u32) -> io::Result<RawSender> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut reader = std::process::Command::new(std::env::current_exe()?)
            .args(["raw-reader", &listener.local_addr()?.to_string(), &sockets.to_string(), &first.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = reader.stdin.take().expect("it is piped");
        let done = reader.stdout.take().expect("it is piped");
        let (plain, uring) = (Sender::new(How::Send)?, None);
        let mut raw =
            RawSender { sockets: Vec::with_capacity(sockets as usize), reader, told, done, sent: 0, plain, uring };
        for _ in 0..sockets {
            let (socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            raw.sockets.push(socket.into());
        }
        pin(0);
        Ok(raw)
    }

    /// Sends `bytes` to each socket, `rounds` times; each round waits until the one before is read.
    pub fn turn(&mut self, how: How, bytes: usize, rounds: u32) -> io::Result<SendCost> {
        let payload = vec![b'x'; bytes];
        let sender = match how {
            How::Send => &mut self.plain,
            How::Uring if self.uring.is_none() => self.uring.insert(Sender::new(how)?),
            How::Uring => self.uring.as_mut().expect("it was made"),
        };
        let start = Instant::now();
        let mut turn = SendCost::default();
        let mut rests = Vec::new();
        for _ in 0..rounds {
            self.sent += self.sockets.len() as u64 * bytes as u64;
            self.told.write_all(&self.sent.to_le_bytes())?;
            let before = clock::thread_cpu_ns();
            let pieces = self.sockets.iter().map(|socket| Piece { socket: socket.as_fd(), bytes: &payload });
            turn.sends += sender.send(pieces, &mut rests)?;
            turn.cpu_ns += clock::thread_cpu_ns() - before;
            // Socket buffers were empty, so nothing should ever be sent in part.
            match rests.first().map(|rest| rest.taken) {
                None => {}
                Some(Ok(_)) => return Err(io::Error::other("a send was taken in part: fewer bytes would fit")),
                Some(Err(error)) => return Err(error.into()),
            }
            self.done.read_exact(&mut [0])?;
        }
        turn.seconds = start.elapsed().as_secs_f64();
        Ok(turn)
    }
}

impl Drop for RawSender {
    fn drop(&mut self) {
        // The reader ends by itself when its stdin does; a kill only hurries it, and both may come too late.
        let _ = self.reader.kill();
        let _ = self.reader.wait();
    }
}

/// How, how many bytes, how many rounds.
type Order = (How, usize, u32);

/// A thread of a crowd.
#[derive(Debug)]
struct SenderThread {
    orders: mpsc::Sender<Order>,
    turns: Receiver<io::Result<SendCost>>,
    thread: JoinHandle<()>,
}

/// Sockets of any number: threads with descriptor tables of their own, each with a reader of its own.
#[derive(Debug)]
pub struct RawSenders {
    parts: Vec<SenderThread>,
}

impl RawSenders {
    /// Connects so many sockets.
    pub fn open(sockets: u32) -> io::Result<RawSenders> {
        let count = sockets.div_ceil(descriptor_table::room()).max(1);
        let mut crowd = RawSenders { parts: Vec::new() };
        let mut first = 0;
        for part in 0..count {
            let end = (u64::from(sockets) * u64::from(part + 1) / u64::from(count)) as u32;
            let (orders, to_do) = mpsc::channel::<Order>();
            let (done, turns) = mpsc::channel();
            let work = move || {
                let opened = descriptor_table::separate(&[]).and_then(|()| RawSender::open_from(first, end - first));
                let mut raw = match opened {
                    Ok(raw) => raw,
                    Err(error) => return drop(done.send(Err(error))),
                };
                let mut told = done.send(Ok(SendCost::default()));
                // An owner that gives no more orders or takes no more answers is done with this thread.
                while told.is_ok()
                    && let Ok((how, bytes, rounds)) = to_do.recv()
                {
                    told = done.send(raw.turn(how, bytes, rounds));
                }
            };
            let thread = std::thread::Builder::new().name(format!("raw-{part}")).spawn(work)?;
            crowd.parts.push(SenderThread { orders, turns, thread });
            first = end;
        }
        crowd.collect_turn()?;
        Ok(crowd)
    }

    /// A turn of all threads at the same time.
    pub fn turn(&mut self, how: How, bytes: usize, rounds: u32) -> io::Result<SendCost> {
        for part in &self.parts {
            part.orders.send((how, bytes, rounds)).map_err(|_| io::Error::other("a sender has ended"))?;
        }
        self.collect_turn()
    }

    fn collect_turn(&self) -> io::Result<SendCost> {
        let mut sum = SendCost::default();
        for part in &self.parts {
            let turn = part.turns.recv().map_err(|_| io::Error::other("a sender has ended"))??;
            let seconds = sum.seconds.max(turn.seconds);
            sum.add(&turn);
            sum.seconds = seconds; // they ran side by side
        }
        Ok(sum)
    }
}

impl Drop for RawSenders {
    fn drop(&mut self) {
        for SenderThread { orders, turns, thread } in self.parts.drain(..) {
            drop((orders, turns));
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The reading end: connects, then reads as many bytes as stdin announces. Its sockets are numbered from `first`.
pub fn read(address: SocketAddr, sockets: u32, first: u32) -> io::Result<()> {
    descriptor_table::room(); // the limit of open files is raised
    pin(1);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connected = Vec::with_capacity(sockets as usize);
    for number in 0..sockets {
        let socket = source_address::connect(address, first + number)?;
        // One by one, so that the listener's backlog does not overflow.
        let mut ready = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
        rustix::event::poll(&mut ready, None)?;
        epoll::add(&epoll, &socket, EventData::new_u64(u64::from(number)), EventFlags::IN)?;
        connected.push(socket);
    }
    let stdin = io::stdin();
    epoll::add(&epoll, &stdin, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; limits::EVENTS];
    let mut buffer = vec![0; limits::READ_BYTES];
    let (mut expected, mut received) = (0, 0);
    let mut said = true;
    loop {
        let count = match epoll::wait(&epoll, &mut events[..], None) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            let data = event.data;
            if data.u64() == u64::MAX {
                let mut number = [0; 8];
                // Pipes take eight bytes whole, so they are read whole.
                if rustix::io::read(&stdin, &mut number)? < number.len() {
                    return Ok(());
                }
                expected = u64::from_le_bytes(number);
                said = false;
                continue;
            }
            match rustix::net::recv(&connected[data.u64() as usize], &mut buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return Ok(()),
                Ok((read, _)) => received += read as u64,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !said && received == expected {
            said = true;
            io::stdout().write_all(&[DONE])?;
            io::stdout().flush()?;
        }
    }
}

/// Keeps this thread on one of the CPUs that it may use, so that the two ends do not share one if there are two.
fn pin(which: usize) {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let Some(cpu) = cpus.get(which % cpus.len().max(1)) else { return };
    let mut set = CpuSet::new();
    set.set(*cpu);
    // Where pinning is forbidden the numbers are a little less steady.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

//! The courier: brings an open descriptor from one core to another.
//!
//! Lives on: every core.
//! Cores that share one descriptor table only need to tell each other the number. Where each core has a table of its own the
//! number means nothing to the other, and the kernel must copy the descriptor (`SCM_RIGHTS`): each core has one socket that
//! all others send to. What is sent is there when the call returns, so whoever sends first and writes a letter afterwards can
//! be sure that the letter's reader finds it. Nobody waits for that socket and nobody is woken by it: letters do that.
//! Source: unix(7), recvmsg(2).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::limits;

/// One core's courier. What it is given belongs to it until it is received.
#[derive(Debug)]
pub struct Courier(Way);

#[derive(Debug)]
enum Way {
    /// All cores have the same table: a descriptor's number is its ticket.
    Number,
    /// Each core has its own.
    Rights(Rights),
}

#[derive(Debug)]
struct Rights {
    me: usize,
    sent: Cell<u32>,
    receiving: UnixDatagram,
    /// One for each core. All cores send through the same; so each table must keep all of these open.
    sending: Arc<[UnixDatagram]>,
    /// What came before its letter was read.
    arrived: RefCell<BTreeMap<i32, OwnedFd>>,
}

/// Why a descriptor was not sent.
#[derive(Debug)]
pub enum Unsent {
    /// The receiver has many that it has not taken yet. Here it is back, for a later time.
    Later(OwnedFd),
    /// The receiver is gone.
    Never,
}

/// A courier for each of `cores` cores, which share one descriptor table or will have their own.
pub fn hire(cores: usize, private_tables: bool) -> io::Result<Vec<Courier>> {
    if !private_tables {
        return Ok((0..cores).map(|_| Courier(Way::Number)).collect());
    }
    let pairs = (0..cores).map(|_| UnixDatagram::pair()).collect::<io::Result<Vec<_>>>()?;
    let (receiving, sending): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let sending: Arc<[UnixDatagram]> = sending.into();
    let courier = |(me, receiving)| {
        let sending = Arc::clone(&sending);
        Courier(Way::Rights(Rights { me, sent: Cell::new(0), receiving, sending, arrived: RefCell::default() }))
    };
    Ok(receiving.into_iter().enumerate().map(courier).collect())
}

impl Courier {
    /// The descriptor that only this core needs.
    pub fn descriptor(&self) -> Option<RawFd> {
        match &self.0 {
            Way::Number => None,
            Way::Rights(rights) => Some(rights.receiving.as_raw_fd()),
        }
    }

    /// Sends a descriptor to another core. Returns the ticket with which that core receives it.
    pub fn send(&self, to: usize, descriptor: impl IntoRawFd) -> Result<i32, Unsent> {
        let number = descriptor.into_raw_fd();
        match &self.0 {
            Way::Number => Ok(number),
            Way::Rights(rights) => {
                // SAFETY: the number comes straight out of its owner, which has given it up.
                rights.send(to, unsafe { OwnedFd::from_raw_fd(number) })
            }
        }
    }

    /// Receives what was sent with this ticket, once. Nothing if there was no room for it in this core's table.
    pub fn receive(&self, ticket: i32) -> Option<OwnedFd> {
        match &self.0 {
            // SAFETY: the ticket is a descriptor of the table that all cores share, whose owner has given it up for us.
            Way::Number => Some(unsafe { OwnedFd::from_raw_fd(ticket) }),
            Way::Rights(rights) => rights.receive(ticket),
        }
    }
}

impl Rights {
    fn send(&self, to: usize, descriptor: OwnedFd) -> Result<i32, Unsent> {
        // Unique among what is on its way: the kernel keeps a few hundred at most.
        let ticket = (self.me as u32) << limits::TICKET_BITS | self.sent.get() & ((1 << limits::TICKET_BITS) - 1);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let descriptors = [descriptor.as_fd()];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let fits = rights.push(SendAncillaryMessage::ScmRights(&descriptors));
        assert!(fits, "there is space for one");
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(&self.sending[to], &[IoSlice::new(&ticket.to_ne_bytes())], &mut rights, flags) {
            Ok(_) => {
                self.sent.set(self.sent.get().wrapping_add(1));
                Ok(ticket as i32)
            }
            // A process may only have so many descriptors on their way; it counts as a full socket does.
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM | Errno::TOOMANYREFS) => {
                Err(Unsent::Later(descriptor))
            }
            Err(_) => Err(Unsent::Never),
        }
    }

    fn receive(&self, ticket: i32) -> Option<OwnedFd> {
        let mut arrived = self.arrived.borrow_mut();
        loop {
            if let Some(descriptor) = arrived.remove(&ticket) {
                return Some(descriptor);
            }
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = RecvAncillaryBuffer::new(&mut space);
            let mut read = [0; 4];
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            match recvmsg(&self.receiving, &mut [IoSliceMut::new(&mut read)], &mut rights, flags) {
                Ok(_) => {
                    // Without room in the table the number comes alone.
                    let came = rights.drain().find_map(|message| match message {
                        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                        _ => None,
                    });
                    if let Some(descriptor) = came {
                        arrived.insert(i32::from_ne_bytes(read), descriptor);
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn socket() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("descriptors")
    }

    fn speaks(near: OwnedFd, mut far: UnixStream) {
        UnixStream::from(near).write_all(b"x").expect("it is open");
        let mut said = Vec::new();
        far.read_to_end(&mut said).expect("it ends: nobody has a copy");
        assert_eq!(said, b"x");
    }

    #[test]
    fn descriptors_arrive_whole_and_in_any_order() {
        for private in [false, true] {
            let couriers = hire(3, private).expect("descriptors");
            let ((a, far_a), (b, far_b), (c, far_c)) = (socket(), socket(), socket());
            let sent: Vec<i32> = [(0, a), (1, b), (0, c)]
                .into_iter()
                .map(|(from, socket)| couriers[from].send(2, socket).expect("there is room"))
                .collect();
            for (ticket, far) in [(sent[2], far_c), (sent[1], far_b), (sent[0], far_a)] {
                speaks(couriers[2].receive(ticket).expect("it was sent"), far);
            }
            if private {
                assert!(couriers[2].receive(sent[0]).is_none(), "once");
            }
        }
    }

    /// A receiver that takes nothing makes senders keep theirs, and everything arrives in the end.
    #[test]
    fn a_full_way_gives_the_descriptor_back() {
        let couriers = hire(2, true).expect("descriptors");
        let (near, far) = socket();
        let mut tickets = Vec::new();
        let back = loop {
            match couriers[0].send(1, near.try_clone().expect("descriptors")) {
                Ok(ticket) => tickets.push(ticket),
                Err(Unsent::Later(back)) => break back,
                Err(Unsent::Never) => panic!("the receiver is there"),
            }
            assert!(tickets.len() < 100_000, "there is a bound");
        };
        drop(near);
        assert!(tickets.len() > 10, "{}", tickets.len());
        for ticket in tickets {
            drop(couriers[1].receive(ticket).expect("it was sent"));
        }
        let ticket = couriers[0].send(1, back).expect("there is room again");
        speaks(couriers[1].receive(ticket).expect("it was sent"), far);
    }

    #[test]
    fn a_receiver_that_is_gone_is_told() {
        let mut couriers = hire(2, true).expect("descriptors");
        drop(couriers.pop());
        assert!(matches!(couriers[0].send(1, socket().0), Err(Unsent::Never)));
    }
}

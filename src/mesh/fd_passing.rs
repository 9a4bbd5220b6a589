//! Passes an open descriptor from one core to another.
//!
//! Lives on: every core. Cores that share one descriptor table only pass its number. Where each core has a table of its
//! own the number means nothing to the other, and the kernel must copy the descriptor (`SCM_RIGHTS`): each core has one
//! socket that all others send to. The letter that announces a descriptor carries its *fd ticket*: the number, or a
//! name for what was sent. A datagram is there when the call returns, so a letter that is posted after it finds it. No
//! core waits for that socket or is woken by it: letters wake.
//! Invariant: a descriptor is owned by the sender until [`FdPassing::send`] returns a ticket, then by the holder of the
//! ticket.
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

/// One core's end.
#[derive(Debug)]
pub struct FdPassing(TableLayout);

#[derive(Debug)]
enum TableLayout {
    /// All cores have the same table: a descriptor's number is its ticket.
    Shared,
    /// Each core has its own.
    Private(RightsSocket),
}

#[derive(Debug)]
struct RightsSocket {
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
    /// The receiver has not yet taken what was sent before. The descriptor comes back, to be sent later.
    Later(OwnedFd),
    /// The receiver is gone.
    Never,
}

/// An end for each of `cores` cores, which share one descriptor table or will have their own.
pub fn connect(cores: usize, private_tables: bool) -> io::Result<Vec<FdPassing>> {
    if !private_tables {
        return Ok((0..cores).map(|_| FdPassing(TableLayout::Shared)).collect());
    }
    let pairs = (0..cores).map(|_| UnixDatagram::pair()).collect::<io::Result<Vec<_>>>()?;
    let (receiving, sending): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let sending: Arc<[UnixDatagram]> = sending.into();
    let end = |(me, receiving)| {
        let (sending, sent, arrived) = (Arc::clone(&sending), Cell::new(0), RefCell::default());
        FdPassing(TableLayout::Private(RightsSocket { me, sent, receiving, sending, arrived }))
    };
    Ok(receiving.into_iter().enumerate().map(end).collect())
}

impl FdPassing {
    /// The descriptor that only this core needs.
    pub fn descriptor(&self) -> Option<RawFd> {
        match &self.0 {
            TableLayout::Shared => None,
            TableLayout::Private(rights) => Some(rights.receiving.as_raw_fd()),
        }
    }

    /// Sends a descriptor to another core. Returns the ticket with which that core receives it.
    pub fn send(&self, to: usize, descriptor: impl IntoRawFd) -> Result<i32, Unsent> {
        let number = descriptor.into_raw_fd();
        match &self.0 {
            TableLayout::Shared => Ok(number),
            TableLayout::Private(rights) => {
                // SAFETY: the number comes straight out of its owner, which has given it up.
                rights.send(to, unsafe { OwnedFd::from_raw_fd(number) })
            }
        }
    }

    /// Receives what was sent with this ticket, once. `None` if there was no room for it in this core's table.
    pub fn receive(&self, ticket: i32) -> Option<OwnedFd> {
        match &self.0 {
            // SAFETY: the ticket is a descriptor of the table that all cores share, whose owner has given it up for us.
            TableLayout::Shared => Some(unsafe { OwnedFd::from_raw_fd(ticket) }),
            TableLayout::Private(rights) => rights.receive(ticket),
        }
    }
}

impl RightsSocket {
    fn send(&self, to: usize, descriptor: OwnedFd) -> Result<i32, Unsent> {
        // Unique among what is on its way: the kernel keeps a few hundred at most.
        let ticket = (self.me as u32) << limits::FD_TICKET_BITS | self.sent.get() & ((1 << limits::FD_TICKET_BITS) - 1);
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
            // The kernel bounds a process's descriptors in flight; that counts as a full socket.
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
                    // Without room in the table the ticket comes alone.
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
        far.read_to_end(&mut said).expect("it ends: there is no other copy");
        assert_eq!(said, b"x");
    }

    #[test]
    fn descriptors_are_received_by_ticket_in_any_order() {
        for private in [false, true] {
            let ends = connect(3, private).expect("descriptors");
            let ((a, far_a), (b, far_b), (c, far_c)) = (socket(), socket(), socket());
            let sent: Vec<i32> = [(0, a), (1, b), (0, c)]
                .into_iter()
                .map(|(from, socket)| ends[from].send(2, socket).expect("there is room"))
                .collect();
            for (ticket, far) in [(sent[2], far_c), (sent[1], far_b), (sent[0], far_a)] {
                speaks(ends[2].receive(ticket).expect("it was sent"), far);
            }
            if private {
                assert!(ends[2].receive(sent[0]).is_none(), "once");
            }
        }
    }

    /// A receiver that takes nothing makes senders keep theirs, and everything arrives in the end.
    #[test]
    fn a_full_rights_socket_gives_the_descriptor_back() {
        let ends = connect(2, true).expect("descriptors");
        let (near, far) = socket();
        let mut tickets = Vec::new();
        let back = loop {
            match ends[0].send(1, near.try_clone().expect("descriptors")) {
                Ok(ticket) => tickets.push(ticket),
                Err(Unsent::Later(back)) => break back,
                Err(Unsent::Never) => panic!("the receiver is there"),
            }
            assert!(tickets.len() < 100_000, "there is a bound");
        };
        drop(near);
        assert!(tickets.len() > 10, "{}", tickets.len());
        for ticket in tickets {
            drop(ends[1].receive(ticket).expect("it was sent"));
        }
        let ticket = ends[0].send(1, back).expect("there is room again");
        speaks(ends[1].receive(ticket).expect("it was sent"), far);
    }

    #[test]
    fn send_fails_for_good_when_the_receiver_is_gone() {
        let mut ends = connect(2, true).expect("descriptors");
        drop(ends.pop());
        assert!(matches!(ends[0].send(1, socket().0), Err(Unsent::Never)));
    }
}

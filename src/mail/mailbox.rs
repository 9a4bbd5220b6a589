//! What lanes and mailboxes carry: letters, and mail that only this host can bring.
//!
//! Lives on: every core.
//! A lane between cores carries [`Mail`], so the compiler refuses to send a store answer to another core. A core's
//! mailbox holds [`MailboxItem`].

use crate::mail::letter::Letter;
use crate::mail::local::{HandOver, Local};

/// What a lane between two cores of one host carries.
#[derive(Debug)]
pub enum Mail {
    /// To any core.
    Letter(Letter),
    /// To the home of the session that the socket's client resumes.
    HandOver(Box<HandOver>),
}

/// What a core's mailbox holds, in the order of arrival.
#[derive(Debug)]
pub enum MailboxItem {
    /// From this core or another.
    Letter(Letter),
    /// From this host.
    Local(Local),
}

impl From<Mail> for MailboxItem {
    fn from(mail: Mail) -> MailboxItem {
        match mail {
            Mail::Letter(letter) => MailboxItem::Letter(letter),
            Mail::HandOver(hand_over) => MailboxItem::Local(Local::HandOver(hand_over)),
        }
    }
}

impl From<Local> for MailboxItem {
    fn from(local: Local) -> MailboxItem {
        MailboxItem::Local(local)
    }
}

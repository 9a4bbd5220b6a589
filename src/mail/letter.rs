//! Letters: everything that one core can say to another, or to itself, by addressee.
//!
//! Lives on: every core.
//! A letter to the same core takes the same path as any other. Letters are plain data without types of the store.
//! Read next: `to_guild`, `to_user`, `to_home` (each variant with its sender, its answer and what its loss would mean).

use crate::mail::ask::{Answer, Ask, Request, Ticket};
use crate::mail::to_guild::ToGuild;
use crate::mail::to_home::ToHome;
use crate::mail::to_user::ToUser;

/// One letter.
#[derive(Debug)]
pub enum Letter {
    /// To the owner of a guild.
    ToGuild(ToGuild),
    /// To the owner of a user.
    ToUser(ToUser),
    /// To the home of sessions.
    ToHome(ToHome),
    /// Owner → door: the answer to a request. Lost: a REST call hangs until its door gives up.
    Answer(Ticket, Box<Answer>),
}

impl From<ToGuild> for Letter {
    fn from(letter: ToGuild) -> Letter {
        Letter::ToGuild(letter)
    }
}

impl From<ToUser> for Letter {
    fn from(letter: ToUser) -> Letter {
        Letter::ToUser(letter)
    }
}

impl From<ToHome> for Letter {
    fn from(letter: ToHome) -> Letter {
        Letter::ToHome(letter)
    }
}

impl From<Ask> for Letter {
    fn from(ask: Ask) -> Letter {
        let ask = Box::new(ask);
        match &ask.request {
            Request::Guild(..) | Request::Channel(..) | Request::FoundGuild { .. } => ToGuild::Ask(ask).into(),
            Request::CreateAccount { .. } | Request::RevokeTokens(_) | Request::SetNote(_) => ToUser::Ask(ask).into(),
        }
    }
}

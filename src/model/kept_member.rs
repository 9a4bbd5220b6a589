//! A member in as few bytes as there is to say of it.
//!
//! Lives on: the core of a guild, for each of its members who is online; in letters, the homes of sessions that see the
//! guild.
//! Most of what a [`Member`] can have most members do not have. So a guild of a million online members keeps them like
//! this, in some 30 bytes each, and makes a [`Member`] when it needs one. `wire::model::member` writes it for member
//! lists.

use smallvec::SmallVec;

use crate::base::id::{RoleId, UserId};
use crate::model::member::Member;
use crate::model::user::User;

/// A member, packed. Invariant: [`KeptMember::member`] gives what [`KeptMember::new`] was given.
///
/// First what it has, as a number of seven bits a byte: there is room for more fields, and from the eighth on they cost
/// a byte only where they are set. Then the id, the numbers, the roles, the texts; the username is the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMember(Box<[u8]>);

// Frequent ones first: seven fit into the first byte.
const NICK: u64 = 1;
const GLOBAL_NAME: u64 = 1 << 1;
const AVATAR: u64 = 1 << 2;
const ROLES: u64 = 1 << 3;
const BOT: u64 = 1 << 4;
const MUTE: u64 = 1 << 5;
const DEAF: u64 = 1 << 6;
const TIMEOUT: u64 = 1 << 7;

impl KeptMember {
    /// Packs a member.
    pub fn new(member: &Member) -> KeptMember {
        let Member { user, nick, roles, joined_at_ms, deaf, mute, timeout_until_ms } = member;
        let User { id, username, global_name, avatar, bot } = user;
        let present = [
            (NICK, nick.is_some()),
            (GLOBAL_NAME, global_name.is_some()),
            (AVATAR, avatar.is_some()),
            (BOT, *bot),
            (DEAF, *deaf),
            (MUTE, *mute),
            (TIMEOUT, *timeout_until_ms != 0),
            (ROLES, !roles.is_empty()),
        ];
        let mut bytes = Vec::with_capacity(64);
        write_number(&mut bytes, present.iter().filter(|(_, present)| *present).fold(0, |bits, (bit, _)| bits | bit));
        bytes.extend_from_slice(&id.get().to_le_bytes());
        write_number(&mut bytes, *joined_at_ms);
        if *timeout_until_ms != 0 {
            write_number(&mut bytes, *timeout_until_ms);
        }
        if !roles.is_empty() {
            write_number(&mut bytes, roles.len() as u64);
            for role in roles {
                bytes.extend_from_slice(&role.get().to_le_bytes());
            }
        }
        for text in [nick.as_deref(), global_name.as_deref(), avatar.as_deref()].into_iter().flatten() {
            write_number(&mut bytes, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
        // The rest.
        bytes.extend_from_slice(username.as_bytes());
        KeptMember(bytes.into_boxed_slice())
    }

    /// The member.
    pub fn member(&self) -> Member {
        let MemberParts {
            id,
            joined_at_ms,
            timeout_until_ms,
            roles,
            nick,
            global_name,
            avatar,
            username,
            bot,
            deaf,
            mute,
        } = self.parts();
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let (username, global_name, avatar) = (username.to_owned(), owned(global_name), owned(avatar));
        let user = User { id, username, global_name, avatar, bot };
        Member { user, nick: owned(nick), roles: roles.collect(), joined_at_ms, deaf, mute, timeout_until_ms }
    }

    /// Whose.
    pub fn user(&self) -> UserId {
        let mut rest = Rest(&self.0);
        rest.number();
        UserId::new(rest.word())
    }

    /// The name that is shown: the nickname, else the name that the user shows everywhere, else the username.
    pub fn name(&self) -> &str {
        let MemberParts { nick, global_name, username, .. } = self.parts();
        nick.or(global_name).unwrap_or(username)
    }

    /// Roles without `@everyone`, ascending by id.
    pub fn roles(&self) -> SmallVec<[RoleId; 2]> {
        self.parts().roles.collect()
    }

    /// What it is made of, where it lies.
    pub fn parts(&self) -> MemberParts<'_> {
        let mut rest = Rest(&self.0);
        let flags = rest.number();
        let has = |bit| flags & bit != 0;
        let id = UserId::new(rest.word());
        let joined_at_ms = rest.number();
        let timeout_until_ms = if has(TIMEOUT) { rest.number() } else { 0 };
        let count = if has(ROLES) { rest.number() as usize } else { 0 };
        let roles = PackedRoles(rest.bytes(8 * count));
        let mut text = |bit| has(bit).then(|| rest.text());
        let (nick, global_name, avatar) = (text(NICK), text(GLOBAL_NAME), text(AVATAR));
        let username = string(rest.0);
        let (bot, deaf, mute) = (has(BOT), has(DEAF), has(MUTE));
        MemberParts { id, joined_at_ms, timeout_until_ms, roles, nick, global_name, avatar, username, bot, deaf, mute }
    }
}

/// The fields of a [`Member`] and its [`User`], borrowed.
#[allow(missing_docs)]
#[derive(Debug)]
pub struct MemberParts<'a> {
    pub id: UserId,
    pub joined_at_ms: u64,
    pub timeout_until_ms: u64,
    pub roles: PackedRoles<'a>,
    pub nick: Option<&'a str>,
    pub global_name: Option<&'a str>,
    pub avatar: Option<&'a str>,
    pub username: &'a str,
    pub bot: bool,
    pub deaf: bool,
    pub mute: bool,
}

/// Roles, eight bytes each.
#[derive(Debug, Clone)]
pub struct PackedRoles<'a>(&'a [u8]);

impl Iterator for PackedRoles<'_> {
    type Item = RoleId;

    fn next(&mut self) -> Option<RoleId> {
        let (role, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(RoleId::new(u64::from_le_bytes(*role)))
    }
}

/// Seven bits a byte, the lowest first; the eighth says that there are more.
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn string(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a text was packed")
}

/// What is not yet read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (front, back) = self.0.split_at(count);
        self.0 = back;
        front
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().expect("as many as were asked for"))
    }

    fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.bytes(1)[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    fn text(&mut self) -> &'a str {
        let length = self.number() as usize;
        string(self.bytes(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_member_is_small() {
        let kept = KeptMember::new(&Member::new(User::person(UserId::new(1), "member-123456"), 1_764_000_000_000));
        assert!(kept.0.len() <= 32, "{}", kept.0.len());
    }
}

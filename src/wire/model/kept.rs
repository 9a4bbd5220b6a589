//! A member in as few bytes as there is to say of it.
//!
//! Lives on: the core of a guild, for each of its members who is online; and the homes of sessions that have just seen the guild.
//! Most of what a [`Member`] can have most members do not have. So a guild of a million online members keeps them like this, in
//! some 30 bytes each, and makes a [`Member`] when it needs one.

use smallvec::SmallVec;

use crate::base::id::{RoleId, UserId};
use crate::wire::model::member::Member;
use crate::wire::model::user::User;

/// A member, packed. Invariant: [`KeptMember::member`] gives what [`KeptMember::new`] was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMember(Box<[u8]>);

const NICK: u8 = 1;
const GLOBAL_NAME: u8 = 1 << 1;
const AVATAR: u8 = 1 << 2;
const BOT: u8 = 1 << 3;
const DEAF: u8 = 1 << 4;
const MUTE: u8 = 1 << 5;
const TIMEOUT: u8 = 1 << 6;
const ROLES: u8 = 1 << 7;

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
        bytes.push(present.iter().filter(|(_, present)| *present).fold(0, |bits, (bit, _)| bits | bit));
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
        let mut rest = Rest(&self.0);
        let flags = rest.bytes(1)[0];
        let has = |bit| flags & bit != 0;
        let id = UserId::new(rest.word());
        let joined_at_ms = rest.number();
        let timeout_until_ms = if has(TIMEOUT) { rest.number() } else { 0 };
        let count = if has(ROLES) { rest.number() } else { 0 };
        let roles: SmallVec<[RoleId; 2]> = (0..count).map(|_| RoleId::new(rest.word())).collect();
        let mut text = |bit| has(bit).then(|| rest.text());
        let (nick, global_name, avatar) = (text(NICK), text(GLOBAL_NAME), text(AVATAR));
        let username = string(rest.0);
        let user = User { id, username, global_name, avatar, bot: has(BOT) };
        Member { user, nick, roles, joined_at_ms, deaf: has(DEAF), mute: has(MUTE), timeout_until_ms }
    }

    /// Whose.
    pub fn user(&self) -> UserId {
        let mut rest = Rest(&self.0[1..]);
        UserId::new(rest.word())
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

fn string(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).expect("a text was packed").to_owned()
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

    fn text(&mut self) -> String {
        let length = self.number() as usize;
        string(self.bytes(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    fn text(prng: &mut Prng) -> String {
        let most = if prng.chance(1, 10) { 300 } else { 8 };
        let length = prng.below(most);
        (0..length).map(|_| if prng.chance(1, 3) { 'ß' } else { 'a' }).collect()
    }

    #[test]
    fn every_member_comes_back_as_it_was() {
        let mut prng = Prng::new(7);
        for _ in 0..2_000 {
            let some = |prng: &mut Prng| prng.chance(1, 2).then(|| text(prng));
            let (global_name, avatar, nick) = (some(&mut prng), some(&mut prng), some(&mut prng));
            let number = |prng: &mut Prng| prng.next_u64() >> prng.below(64);
            let user = User {
                id: UserId::new(prng.next_u64()),
                username: text(&mut prng),
                global_name,
                avatar,
                bot: prng.chance(1, 2),
            };
            let roles = (0..prng.below(4)).map(|_| RoleId::new(prng.next_u64())).collect();
            let member = Member {
                user,
                nick,
                roles,
                joined_at_ms: number(&mut prng),
                deaf: prng.chance(1, 2),
                mute: prng.chance(1, 2),
                timeout_until_ms: if prng.chance(1, 2) { number(&mut prng) } else { 0 },
            };
            let kept = KeptMember::new(&member);
            assert_eq!(kept.member(), member);
            assert_eq!(kept.user(), member.user.id);
        }
    }

    #[test]
    fn a_plain_member_is_small() {
        let user =
            User { id: UserId::new(1), username: "member-123456".into(), global_name: None, avatar: None, bot: false };
        let kept = KeptMember::new(&Member::new(user, 1_764_000_000_000));
        assert!(kept.0.len() <= 32, "{}", kept.0.len());
    }
}

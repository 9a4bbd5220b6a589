//! A member in as few bytes as there is to say of it.
//!
//! Lives on: the core of a guild, for each of its members who is online; and the homes of sessions that have just seen the guild.
//! Most of what a [`Member`] can have most members do not have. So a guild of a million online members keeps them like this, in
//! some 30 bytes each, and makes a [`Member`] when it needs one.

use smallvec::SmallVec;

use crate::base::clock;
use crate::base::id::{RoleId, UserId};
use crate::wire::model::member::Member;
use crate::wire::model::presence::Presence;
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
        let Parts { flags, id, joined_at_ms, timeout_until_ms, roles, nick, global_name, avatar, username } =
            self.parts();
        let has = |bit| flags & bit != 0;
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let (username, global_name, avatar) = (username.to_owned(), owned(global_name), owned(avatar));
        let user = User { id, username, global_name, avatar, bot: has(BOT) };
        let (deaf, mute) = (has(DEAF), has(MUTE));
        Member { user, nick: owned(nick), roles: roles.collect(), joined_at_ms, deaf, mute, timeout_until_ms }
    }

    /// Whose.
    pub fn user(&self) -> UserId {
        let mut rest = Rest(&self.0[1..]);
        UserId::new(rest.word())
    }

    /// The name that is shown: the nickname, else the name that the user shows everywhere, else the username.
    pub fn name(&self) -> &str {
        let Parts { nick, global_name, username, .. } = self.parts();
        nick.or(global_name).unwrap_or(username)
    }

    /// Roles without `@everyone`, ascending by id.
    pub fn roles(&self) -> SmallVec<[RoleId; 2]> {
        self.parts().roles.collect()
    }

    /// Writes the member with what is seen of it, as member lists have it: the very bytes of [`Listed`], in a seventh of the time. A
    /// window is a hundred of them, and who scrolls waits for three windows.
    ///
    /// [`Listed`]: crate::wire::model::listing::Listed
    pub fn write_json(&self, presence: &Presence, out: &mut Vec<u8>) {
        let Parts { flags, id, joined_at_ms, timeout_until_ms, roles, nick, global_name, avatar, username } =
            self.parts();
        let has = |bit| flags & bit != 0;
        let text = |text: Option<&str>, out: &mut Vec<u8>| match text {
            Some(text) => write_text(text, out),
            None => out.extend_from_slice(b"null"),
        };
        let truth = |truth: bool| if truth { &b"true"[..] } else { &b"false"[..] };
        out.extend_from_slice(br#"{"user":{"id":"#);
        write_id(id.get(), out);
        out.extend_from_slice(br#","username":"#);
        write_text(username, out);
        out.extend_from_slice(br#","discriminator":"0","global_name":"#);
        text(global_name, out);
        out.extend_from_slice(br#","avatar":"#);
        text(avatar, out);
        if has(BOT) {
            out.extend_from_slice(br#","bot":true"#);
        }
        out.extend_from_slice(
            br#","public_flags":0,"avatar_decoration_data":null,"banner":null,"accent_color":null},"nick":"#,
        );
        text(nick, out);
        out.extend_from_slice(br#","avatar":null,"banner":null,"roles":["#);
        for (place, role) in roles.enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_id(role.get(), out);
        }
        out.extend_from_slice(br#"],"joined_at":""#);
        clock::write_iso8601(joined_at_ms, out);
        out.extend_from_slice(br#"","premium_since":null,"deaf":"#);
        out.extend_from_slice(truth(has(DEAF)));
        out.extend_from_slice(br#","mute":"#);
        out.extend_from_slice(truth(has(MUTE)));
        out.extend_from_slice(br#","flags":0,"pending":false,"communication_disabled_until":"#);
        if timeout_until_ms > 0 {
            out.push(b'"');
            clock::write_iso8601(timeout_until_ms, out);
            out.push(b'"');
        } else {
            out.extend_from_slice(b"null");
        }
        out.extend_from_slice(br#","avatar_decoration_data":null,"presence":{"user":{"id":"#);
        write_id(id.get(), out);
        out.extend_from_slice(b"},");
        presence.write_fields(out);
        out.extend_from_slice(b"}}");
    }

    fn parts(&self) -> Parts<'_> {
        let mut rest = Rest(&self.0);
        let flags = rest.bytes(1)[0];
        let has = |bit| flags & bit != 0;
        let id = UserId::new(rest.word());
        let joined_at_ms = rest.number();
        let timeout_until_ms = if has(TIMEOUT) { rest.number() } else { 0 };
        let count = if has(ROLES) { rest.number() as usize } else { 0 };
        let roles = Roles(rest.bytes(8 * count));
        let mut text = |bit| has(bit).then(|| rest.text());
        let (nick, global_name, avatar) = (text(NICK), text(GLOBAL_NAME), text(AVATAR));
        let username = string(rest.0);
        Parts { flags, id, joined_at_ms, timeout_until_ms, roles, nick, global_name, avatar, username }
    }
}

/// What a member is, where it lies.
struct Parts<'a> {
    flags: u8,
    id: UserId,
    joined_at_ms: u64,
    timeout_until_ms: u64,
    roles: Roles<'a>,
    nick: Option<&'a str>,
    global_name: Option<&'a str>,
    avatar: Option<&'a str>,
    username: &'a str,
}

/// Roles, eight bytes each.
struct Roles<'a>(&'a [u8]);

impl Iterator for Roles<'_> {
    type Item = RoleId;

    fn next(&mut self) -> Option<RoleId> {
        let (role, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(RoleId::new(u64::from_le_bytes(*role)))
    }
}

/// An id as JSON has it.
fn write_id(id: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.push(b'"');
}

/// A text as JSON has it. Nearly all texts stand there as they are.
fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        serde_json::to_writer(out, text).expect("a text is JSON");
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
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
    use serde_json::value::RawValue;

    use super::*;
    use crate::base::prng::Prng;
    use crate::wire::model::listing::Listed;
    use crate::wire::model::presence::{Activities, Platform, Status};

    fn text(prng: &mut Prng) -> String {
        let most = if prng.chance(1, 10) { 300 } else { 8 };
        let length = prng.below(most);
        let some = |prng: &mut Prng| ['a', 'ß', '"', '\\', '\n', '\u{1}', '\u{7f}', '🙂'][prng.below(8) as usize];
        let plain = prng.chance(1, 2);
        (0..length).map(|_| if plain { 'a' } else { some(prng) }).collect()
    }

    fn presence(prng: &mut Prng) -> Presence {
        let mut presence = Presence::OFFLINE;
        for _ in 0..prng.below(4) {
            let status = [Status::Online, Status::Dnd, Status::Idle, Status::Offline][prng.below(4) as usize];
            let platform = [Platform::Web, Platform::Desktop, Platform::Mobile][prng.below(3) as usize];
            let rendered = (0..prng.below(3)).map(|_| serde_json::json!({ "name": text(prng) }).to_string());
            let rendered = rendered.map(|activity| RawValue::from_string(activity).unwrap()).collect();
            presence.add(status, platform, &Activities::new(rendered));
        }
        presence
    }

    #[test]
    fn every_member_comes_back_and_is_written_as_it_was() {
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
            let name = member.nick.as_ref().or(member.user.global_name.as_ref()).unwrap_or(&member.user.username);
            assert_eq!((kept.name(), &kept.roles()), (name.as_str(), &member.roles));
            let presence = presence(&mut prng);
            let mut written = b"before".to_vec();
            kept.write_json(&presence, &mut written);
            let listed = serde_json::to_string(&Listed(&kept, &presence)).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), format!("before{listed}"));
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

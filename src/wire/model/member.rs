//! How clients see a member: in REST, in events, in member lists. Source: Discord docs, Resources/Guild/Guild Member
//! Object.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::base::clock;
use crate::base::id::{GuildId, UserId};
use crate::model::kept_member::{KeptMember, MemberParts};
use crate::model::member::Member;
use crate::wire::model::presence::Presence;
use crate::wire::model::user::UserView;

fn fields<M: SerializeMap>(member: &Member, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("nick", &member.nick)?;
    map.serialize_entry("avatar", &())?;
    map.serialize_entry("banner", &())?;
    map.serialize_entry("roles", &member.roles.as_slice())?;
    map.serialize_entry("joined_at", &clock::iso8601(member.joined_at_ms))?;
    map.serialize_entry("premium_since", &())?;
    map.serialize_entry("deaf", &member.deaf)?;
    map.serialize_entry("mute", &member.mute)?;
    map.serialize_entry("flags", &0)?;
    map.serialize_entry("pending", &false)?;
    let until = (member.timeout_until_ms > 0).then(|| clock::iso8601(member.timeout_until_ms));
    map.serialize_entry("communication_disabled_until", &until)?;
    map.serialize_entry("avatar_decoration_data", &())
}

/// A member with its user.
#[derive(Debug, Clone, Copy)]
pub struct MemberView<'a>(pub &'a Member);

impl Serialize for MemberView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &UserView(&self.0.user))?;
        fields(self.0, &mut map)?;
        map.end()
    }
}

/// A member as `GUILD_MEMBER_ADD` and `GUILD_MEMBER_UPDATE` carry it: with `guild_id`.
#[derive(Debug)]
pub struct MemberOf<'a>(pub GuildId, pub &'a Member);

impl Serialize for MemberOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("guild_id", &self.0)?;
        map.serialize_entry("user", &UserView(&self.1.user))?;
        fields(self.1, &mut map)?;
        map.end()
    }
}

/// A member as message events carry it: without `user`, which stands beside it.
#[derive(Debug)]
pub struct PartialMember<'a>(pub &'a Member);

impl Serialize for PartialMember<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        fields(self.0, &mut map)?;
        map.end()
    }
}

/// A member with its presence: the form of it. Lists write it with [`write_row`], in a seventh of the time.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a>(pub &'a KeptMember, pub &'a Presence);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Shown<'a>(UserId, &'a Presence);
        #[derive(Serialize)]
        struct ListedUser {
            id: UserId,
        }
        impl Serialize for Shown<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("user", &ListedUser { id: self.0 })?;
                self.1.fields(&mut map)?;
                map.end()
            }
        }
        let member = self.0.member();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &UserView(&member.user))?;
        fields(&member, &mut map)?;
        map.serialize_entry("presence", &Shown(member.user.id, self.1))?;
        map.end()
    }
}

/// Writes the very bytes of [`Listed`]. A window is a hundred of them, and a client that scrolls waits for three
/// windows.
pub fn write_row(member: &KeptMember, presence: &Presence, out: &mut Vec<u8>) {
    let MemberParts { id, joined_at_ms, timeout_until_ms, roles, nick, global_name, avatar, username, bot, deaf, mute } =
        member.parts();
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
    if bot {
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
    out.extend_from_slice(truth(deaf));
    out.extend_from_slice(br#","mute":"#);
    out.extend_from_slice(truth(mute));
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

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::base::id::{RoleId, UserId};
    use crate::base::prng::Prng;
    use crate::model::member::Member;
    use crate::model::user::User;
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
    fn every_member_is_unpacked_and_written_as_it_was() {
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
            write_row(&kept, &presence, &mut written);
            let listed = serde_json::to_string(&Listed(&kept, &presence)).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), format!("before{listed}"));
        }
    }
}

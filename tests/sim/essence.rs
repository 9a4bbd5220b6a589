//! What is compared of an event: its name and what matters in it, as one line of text.
//!
//! Two roads lead to such a line: from what was committed (the oracle's), and from the JSON that a client got (here
//! too). A deletion reads the same whether it came alone or in bulk: a bulk of which one message was left is a
//! deletion.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::model::{ChannelModel, GuildModel, MemberModel, OverwriteModel, RoleModel};

/// The line of a channel's event.
pub fn channel(name: &str, id: u64, channel: &ChannelModel) -> String {
    format!("{name} {}", channel_text(id, channel))
}

/// The line of a role's event.
pub fn role(name: &str, id: u64, role: &RoleModel) -> String {
    format!("{name} {}", role_text(id, role))
}

/// The line of a member's event.
pub fn member(name: &str, id: u64, member: &MemberModel) -> String {
    format!("{name} {id} nick={:?} roles={:?}", member.nick, member.roles)
}

/// What else is compared of a message.
pub struct MessageMarks {
    pub kind: u64,
    pub pinned: bool,
    pub refers_to: Option<u64>,
}

/// The line of a message's event; without text for those who may not read it.
pub fn message(name: &str, id: u64, channel: u64, author: u64, marks: &MessageMarks, content: &str) -> String {
    let MessageMarks { kind, pinned, refers_to } = marks;
    let text = shortened(content);
    format!("{name} {id} in {channel} by {author} type {kind} pinned {pinned} to {refers_to:?}: {text}")
}

/// The line of a channel's pins having changed. A deletion on its way makes the time uncertain.
pub fn pins_update(channel: u64) -> String {
    format!("CHANNEL_PINS_UPDATE in {channel}")
}

/// The line of a user's note about another.
pub fn user_note(about: u64, text: &str) -> String {
    format!("{USER_NOTE_UPDATE} {about}: {text}")
}

/// What the lines of notes begin with.
pub const USER_NOTE_UPDATE: &str = "USER_NOTE_UPDATE";

/// The line of messages being deleted.
pub fn messages_gone(channel: u64, ids: &[u64]) -> String {
    format!("MESSAGES GONE in {channel}: {ids:?}")
}

/// The line of GUILD_CREATE for a member.
pub fn guild_create(guild: &GuildModel, user: u64) -> String {
    let mut text = format!("GUILD_CREATE {:?} owner={} members={}", guild.name, guild.owner, guild.members.len());
    let own: Vec<u64> = guild.roles_of(user).into_iter().collect();
    let _ = write!(text, " me={user} with {own:?}; ");
    for (id, channel) in &guild.channels {
        let _ = write!(text, "{} last pin {:?}; ", channel_text(*id, channel), channel.last_pin);
    }
    for (id, role) in &guild.roles {
        let _ = write!(text, "{}; ", role_text(*id, role));
    }
    text
}

/// The guild that a dispatched event belongs to, if any, and its line.
pub fn of_dispatch(name: &str, d: &Value, me: u64) -> (Option<u64>, String) {
    let guild = id(&d["guild_id"]);
    match name {
        "GUILD_CREATE" => {
            let model = GuildModel {
                id: id(&d["id"]).unwrap_or(0),
                name: text(&d["name"]),
                owner: id(&d["owner_id"]).unwrap_or(0),
                channels: list(&d["channels"]).map(|it| (id(&it["id"]).unwrap_or(0), channel_of(it))).collect(),
                roles: list(&d["roles"]).map(|it| (id(&it["id"]).unwrap_or(0), role_of(it))).collect(),
                members: list(&d["members"]).map(|it| (id(&it["user"]["id"]).unwrap_or(0), member_of(it))).collect(),
            };
            let listed = model.members.len();
            assert!(model.members.contains_key(&me), "judge oracle: GUILD_CREATE has the own member");
            let count = d["member_count"].as_u64().unwrap_or(0);
            // The own member is in it, and those who are to be seen; the count stands for the others.
            let line = guild_create(&model, me);
            let line = line.replacen(&format!(" members={listed} "), &format!(" members={count} "), 1);
            let awaited = if d.get("unavailable").is_some() { " awaited" } else { "" };
            (Some(model.id), line + awaited)
        }
        "GUILD_DELETE" => (id(&d["id"]), name.to_owned()),
        "GUILD_UPDATE" => {
            (id(&d["id"]), format!("GUILD_UPDATE {:?} owner={}", text(&d["name"]), id(&d["owner_id"]).unwrap_or(0)))
        }
        "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "CHANNEL_DELETE" => {
            (guild, channel(name, id(&d["id"]).unwrap_or(0), &channel_of(d)))
        }
        "CHANNEL_PINS_UPDATE" => (guild, pins_update(id(&d["channel_id"]).unwrap_or(0))),
        "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => {
            (guild, role(name, id(&d["role"]["id"]).unwrap_or(0), &role_of(&d["role"])))
        }
        "GUILD_ROLE_DELETE" => (guild, format!("GUILD_ROLE_DELETE {}", id(&d["role_id"]).unwrap_or(0))),
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => {
            (guild, member(name, id(&d["user"]["id"]).unwrap_or(0), &member_of(d)))
        }
        "GUILD_MEMBER_REMOVE" => (guild, format!("GUILD_MEMBER_REMOVE {}", id(&d["user"]["id"]).unwrap_or(0))),
        "MESSAGE_CREATE" | "MESSAGE_UPDATE" => {
            let number = |value: &Value| id(value).unwrap_or(0);
            let content = d["content"].as_str().unwrap_or("?");
            let marks = MessageMarks {
                kind: d["type"].as_u64().unwrap_or(99),
                pinned: d["pinned"] == true,
                refers_to: id(&d["message_reference"]["message_id"]),
            };
            let (channel, author) = (number(&d["channel_id"]), number(&d["author"]["id"]));
            (guild, message(name, number(&d["id"]), channel, author, &marks, content))
        }
        "MESSAGE_DELETE" => (guild, messages_gone(id(&d["channel_id"]).unwrap_or(0), &[id(&d["id"]).unwrap_or(0)])),
        "MESSAGE_DELETE_BULK" => {
            let ids: Vec<u64> = list(&d["ids"]).filter_map(id).collect();
            (guild, messages_gone(id(&d["channel_id"]).unwrap_or(0), &ids))
        }
        "TYPING_START" => {
            let (channel, user) = (id(&d["channel_id"]).unwrap_or(0), id(&d["user_id"]).unwrap_or(0));
            (guild, format!("TYPING_START {user} in {channel}"))
        }
        "INVITE_CREATE" | "INVITE_DELETE" => (guild, format!("{name} {}", text(&d["code"]))),
        "PASSIVE_UPDATE_V2" => (guild, unread("DELTA", &d["updated_channels"])),
        "CHANNEL_UNREAD_UPDATE" => (guild, unread("PLAIN", &d["channel_unread_updates"])),
        // Applied elsewhere; if it comes again by a resume it must be the same.
        "GUILD_MEMBER_LIST_UPDATE" => {
            (None, format!("{name} {:016x}", crate::digest::Digest::of(d.to_string().as_bytes())))
        }
        // The session's own: no guild's order holds for them.
        "PRESENCE_UPDATE" => (None, format!("{name} {d}")),
        "USER_NOTE_UPDATE" => (None, user_note(id(&d["id"]).unwrap_or(0), &text(&d["note"]))),
        "READY" | "RESUMED" | "RATE_LIMITED" => (None, name.to_owned()),
        "GUILD_MEMBERS_CHUNK" => {
            let (nonce, of) = (text(&d["nonce"]), (&d["chunk_index"], &d["chunk_count"]));
            (None, format!("{name} {nonce} {}/{}: {}", of.0, of.1, list(&d["members"]).count()))
        }
        other => panic!("judge wire: an event that nobody knows: {other}"),
    }
}

/// The line of an update of what is unread.
fn unread(form: &str, channels: &Value) -> String {
    let number = |value: &Value| id(value).unwrap_or(0);
    let marks = list(channels).map(|it| format!("{}:{}", number(&it["id"]), number(&it["last_message_id"])));
    format!("UNREAD {form} {}", marks.collect::<Vec<_>>().join(" "))
}

/// Long texts are told apart by their length and hash.
fn shortened(content: &str) -> String {
    if content.len() <= 100 {
        return content.to_owned();
    }
    let hash = crate::digest::Digest::of(content.as_bytes());
    format!("{}… {} bytes, {hash:016x}", &content[..40.min(content.len())], content.len())
}

fn channel_text(id: u64, channel: &ChannelModel) -> String {
    let mut text = format!("#{id} {:?} kind {}", channel.name, channel.kind);
    for OverwriteModel { id, of_member, allow, deny } in &channel.overwrites {
        let _ = write!(text, " {}{id}+{allow}-{deny}", if *of_member { "m" } else { "r" });
    }
    text
}

fn role_text(id: u64, role: &RoleModel) -> String {
    format!("@{id} {:?} {}", role.name, role.permissions)
}

fn channel_of(value: &Value) -> ChannelModel {
    let overwrites = list(&value["permission_overwrites"])
        .map(|entry| OverwriteModel {
            id: id(&entry["id"]).unwrap_or(0),
            of_member: entry["type"] == 1,
            allow: id(&entry["allow"]).unwrap_or(0),
            deny: id(&entry["deny"]).unwrap_or(0),
        })
        .collect();
    let last_pin = value["last_pin_timestamp"].as_str().map(str::to_owned);
    ChannelModel { name: text(&value["name"]), kind: value["type"].as_u64().unwrap_or(99) as u8, overwrites, last_pin }
}

fn role_of(value: &Value) -> RoleModel {
    let position = value["position"].as_i64().unwrap_or(-1) as i32;
    let (permissions, hoist) = (id(&value["permissions"]).unwrap_or(0), value["hoist"] == true);
    RoleModel { name: text(&value["name"]), permissions, position, hoist }
}

/// A member in JSON.
pub fn member_of(value: &Value) -> MemberModel {
    MemberModel {
        nick: value["nick"].as_str().map(str::to_owned),
        roles: list(&value["roles"]).filter_map(id).collect::<BTreeSet<u64>>().into_iter().collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

/// A decimal string.
pub fn id(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

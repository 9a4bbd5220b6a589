//! Reads: questions answered from one snapshot, each by index.
//!
//! Lives on: the store's readers, the operator's commands, the simulator.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, Row, params};

use super::{all, asked, fold, id, number, one, record, role_ids, statement};
use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::limits;
use crate::store::{Anchor, Found, GuildRecord, Listed, Query, StoreError};
use crate::wire::model::account::Account;
use crate::wire::model::channel::Channel;
use crate::wire::model::guild::Guild;
use crate::wire::model::invite::Invite;
use crate::wire::model::member::Member;
use crate::wire::model::message::{Extra, Message};
use crate::wire::model::user::User;

macro_rules! account_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, username, global_name, avatar, bot, owner, privileged, tokens_valid_from_ms, password ",
            "FROM users WHERE ",
            $condition
        )
    };
}

// CROSS JOIN fixes the order of the loops: members first, then each one's user.
macro_rules! members_where {
    ($condition:literal) => {
        concat!(
            "SELECT m.user_id, u.username, u.global_name, u.avatar, u.bot, ",
            "m.nick, m.roles, m.joined_at_ms, m.deaf, m.mute, m.timeout_until_ms ",
            "FROM members m CROSS JOIN users u ON u.id = m.user_id WHERE ",
            $condition
        )
    };
}

macro_rules! messages_where {
    ($condition:literal) => {
        concat!(
            "SELECT m.author_id, u.username, u.global_name, u.avatar, u.bot, ",
            "m.id, m.channel_id, m.guild_id, m.content, m.edited_at_ms, m.extra ",
            "FROM messages m LEFT JOIN users u ON u.id = m.author_id WHERE ",
            $condition
        )
    };
}

macro_rules! invites_where {
    ($condition:literal) => {
        concat!(
            "SELECT i.inviter_id, u.username, u.global_name, u.avatar, u.bot, ",
            "i.code, i.guild_id, i.channel_id, i.created_at_ms, i.max_age, i.max_uses, i.uses, i.temporary ",
            "FROM invites i LEFT JOIN users u ON u.id = i.inviter_id WHERE ",
            $condition
        )
    };
}

/// Answers one question, within the caller's transaction.
pub(super) fn find(connection: &Connection, query: &Query) -> Result<Found, StoreError> {
    Ok(match query {
        Query::Guild(guild) => Found::Guild(guild_record(connection, *guild)?.map(Box::new)),
        Query::Member(guild, user) => {
            let mut members = members_among(connection, *guild, [*user])?;
            Found::Member(members.pop().map(Box::new))
        }
        Query::Members { guild, after, limit } => {
            let limit = (*limit).clamp(1, limits::MEMBERS_PAGE_MAX);
            let sql = members_where!("m.guild_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3");
            let members = all(connection, sql, params![asked(*guild), asked(*after), limit], member_of)?;
            Found::Members(without_gone_roles(connection, *guild, members)?)
        }
        Query::MembersListed { guild, after } => Found::Listed(listed(connection, *guild, *after)?.map(Box::new)),
        Query::MembersByPrefix { guild, prefix, limit } => {
            let limit = (*limit).clamp(1, limits::MEMBERS_PAGE_MAX);
            Found::Members(members_by_prefix(connection, *guild, &fold(prefix), limit)?)
        }
        Query::MembersAmong(guild, users) => {
            let users: BTreeSet<UserId> = users.iter().copied().collect();
            Found::Members(members_among(connection, *guild, users)?)
        }
        Query::Account(user) => Found::Account(account(connection, *user)?.map(Box::new)),
        Query::AccountWithGuilds(user) => Found::AccountWithGuilds(match account(connection, *user)? {
            Some(account) => {
                let sql = "SELECT guild_id FROM members WHERE user_id = ?1 ORDER BY guild_id";
                Some(Box::new((account, all(connection, sql, params![asked(*user)], |row| id(row, 0))?)))
            }
            None => None,
        }),
        Query::GuildsOf { user, after, limit } => Found::Guilds(all(
            connection,
            "SELECT g.data FROM members m CROSS JOIN guilds g ON g.id = m.guild_id
             WHERE m.user_id = ?1 AND m.guild_id > ?2 ORDER BY m.guild_id LIMIT ?3",
            params![asked(*user), asked(*after), (*limit).clamp(1, limits::GUILDS_PAGE_MAX)],
            |row| record(row, 0),
        )?),
        Query::GuildOfChannel(channel) => {
            let sql = "SELECT guild_id FROM channels WHERE id = ?1";
            Found::GuildOf(one(connection, sql, params![asked(*channel)], |row| id(row, 0))?)
        }
        Query::Message(channel, message) => {
            let sql = messages_where!("m.channel_id = ?1 AND m.id = ?2");
            let message = one(connection, sql, params![asked(*channel), asked(*message)], message_of)?;
            Found::Message(message.map(Box::new))
        }
        Query::Messages { channel, anchor, limit } => {
            let limit = (*limit).clamp(1, limits::MESSAGES_PAGE_MAX);
            Found::Messages(messages(connection, *channel, *anchor, limit)?)
        }
        Query::Invite(code) => {
            let invite = one(connection, invites_where!("i.code = ?1"), params![code], invite_of)?;
            Found::Invite(invite.map(Box::new))
        }
        Query::Invites(guild) => {
            let sql = invites_where!("i.guild_id = ?1 ORDER BY i.code");
            Found::Invites(all(connection, sql, params![asked(*guild)], invite_of)?)
        }
        Query::Login(username) => {
            let sql = account_where!("name_key = ?1 AND bot = 0 AND password IS NOT NULL");
            let login = one(connection, sql, params![fold(username)], |row| Ok((account_of(row)?, row.get(8)?)))?;
            Found::Login(login.map(Box::new))
        }
        Query::Revocations => Found::Revocations(all(
            connection,
            "SELECT id, tokens_valid_from_ms FROM users WHERE tokens_valid_from_ms > 0 ORDER BY id",
            [],
            |row| Ok((id(row, 0)?, number(row, 1)?)),
        )?),
        Query::Users(users) => {
            let mut found = Vec::with_capacity(users.len());
            for user in users {
                found.extend(account(connection, *user)?.map(|account| account.user));
            }
            Found::Users(found)
        }
    })
}

/// Columns 0 to 4: id, username, global name, avatar, bot. The name is NULL when a join found no user.
fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: id(row, 0)?,
        username: row.get::<_, Option<String>>(1)?.unwrap_or_else(|| "Deleted User".to_owned()),
        global_name: row.get(2)?,
        avatar: row.get(3)?,
        bot: row.get::<_, Option<bool>>(4)?.unwrap_or(false),
    })
}

fn account_of(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        user: user_of(row)?,
        owner: row.get::<_, Option<i64>>(5)?.map(|raw| UserId::new(raw.max(0) as u64)),
        privileged: row.get(6)?,
        tokens_valid_from_ms: number(row, 7)?,
    })
}

fn member_of(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        user: user_of(row)?,
        nick: row.get(5)?,
        roles: role_ids(row.get_ref(6)?.as_blob_or_null()?),
        joined_at_ms: number(row, 7)?,
        deaf: row.get(8)?,
        mute: row.get(9)?,
        timeout_until_ms: number(row, 10)?,
    })
}

fn message_of(row: &Row<'_>) -> rusqlite::Result<Message> {
    let plain = row.get_ref(10)?.as_str_or_null()?.is_none();
    Ok(Message {
        id: id(row, 5)?,
        channel_id: id(row, 6)?,
        guild_id: id(row, 7)?,
        author: user_of(row)?,
        content: row.get(8)?,
        edited_at_ms: row.get::<_, Option<i64>>(9)?.map(|raw| raw.max(0) as u64),
        extra: if plain { Extra::default() } else { record(row, 10)? },
    })
}

fn invite_of(row: &Row<'_>) -> rusqlite::Result<Invite> {
    Ok(Invite {
        inviter: user_of(row)?,
        code: row.get(5)?,
        guild_id: id(row, 6)?,
        channel_id: id(row, 7)?,
        created_at_ms: number(row, 8)?,
        max_age: number(row, 9)?,
        max_uses: row.get(10)?,
        uses: row.get(11)?,
        temporary: row.get(12)?,
    })
}

fn account(connection: &Connection, user: UserId) -> Result<Option<Account>, StoreError> {
    one(connection, account_where!("id = ?1"), params![asked(user)], account_of)
}

fn guild_record(connection: &Connection, guild: GuildId) -> Result<Option<GuildRecord>, StoreError> {
    let settings =
        one(connection, "SELECT data, member_count FROM guilds WHERE id = ?1", params![asked(guild)], |row| {
            Ok((record::<Guild>(row, 0)?, number(row, 1)?))
        })?;
    let Some((settings, member_count)) = settings else { return Ok(None) };
    let channels = all(
        connection,
        // The newest message is one step to the right end of the channel's range.
        "SELECT data, (SELECT max(m.id) FROM messages m WHERE m.channel_id = c.id)
         FROM channels c WHERE guild_id = ?1 ORDER BY id",
        params![asked(guild)],
        |row| {
            let newest: Option<i64> = row.get(1)?;
            let last_message_id = newest.map(|raw| MessageId::new(raw.max(0) as u64));
            Ok(Channel { last_message_id, ..record(row, 0)? })
        },
    )?;
    let sql = "SELECT data FROM roles WHERE guild_id = ?1 ORDER BY id";
    let roles = all(connection, sql, params![asked(guild)], |row| record(row, 0))?;
    Ok(Some(GuildRecord { guild: settings, channels, roles, member_count }))
}

/// A page of a guild's members. One member is held at a time.
fn listed(connection: &Connection, guild: GuildId, after: UserId) -> Result<Option<Listed>, StoreError> {
    let counted = "SELECT member_count FROM guilds WHERE id = ?1";
    let Some(member_count) = one(connection, counted, params![asked(guild)], |row| number(row, 0))? else {
        return Ok(None);
    };
    let roles = roles_of(connection, guild)?;
    let mut json = Vec::with_capacity(limits::MEMBERS_CHUNK as usize * MEMBER_BYTES);
    let (mut users, mut count) = (Vec::with_capacity(limits::MEMBERS_CHUNK as usize), 0);
    let mut page =
        statement(connection, members_where!("m.guild_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3"))?;
    let mut rows = page.query(params![asked(guild), asked(after), limits::MEMBERS_CHUNK + 1])?;
    while let Some(row) = rows.next()? {
        count += 1;
        if count > limits::MEMBERS_CHUNK {
            break;
        }
        let mut member = member_of(row)?;
        member.roles.retain(|role| roles.contains(role));
        users.push(member.user.id);
        json.push(if count == 1 { b'[' } else { b',' });
        serde_json::to_writer(&mut json, &member).expect("a member is JSON");
    }
    json.extend_from_slice(if count == 0 { b"[]" } else { b"]" });
    Ok(Some(Listed { json, users, more: count > limits::MEMBERS_CHUNK, member_count }))
}

/// Bytes of a member's JSON, as a rule.
const MEMBER_BYTES: usize = 512;

/// In the order of `users`.
fn members_among(
    connection: &Connection,
    guild: GuildId,
    users: impl IntoIterator<Item = UserId>,
) -> Result<Vec<Member>, StoreError> {
    let mut members = Vec::new();
    let sql = members_where!("m.guild_id = ?1 AND m.user_id = ?2");
    for user in users {
        members.extend(one(connection, sql, params![asked(guild), asked(user)], member_of)?);
    }
    without_gone_roles(connection, guild, members)
}

fn roles_of(connection: &Connection, guild: GuildId) -> Result<HashSet<RoleId>, StoreError> {
    let sql = "SELECT id FROM roles WHERE guild_id = ?1";
    Ok(all(connection, sql, params![asked(guild)], |row| id(row, 0))?.into_iter().collect())
}

fn without_gone_roles(
    connection: &Connection,
    guild: GuildId,
    mut members: Vec<Member>,
) -> Result<Vec<Member>, StoreError> {
    if members.iter().any(|member| !member.roles.is_empty()) {
        let roles = roles_of(connection, guild)?;
        for member in &mut members {
            member.roles.retain(|role| roles.contains(role));
        }
    }
    Ok(members)
}

/// Each walk looks at [`limits::STORE_SEARCH_ROWS_MAX`] rows at most, so a guild of millions costs no more than a small one.
///
/// All users with such names are walked through until enough of them are members. If that walk had to be broken off, for there are
/// more such users, of whom few are members, the guild's members are walked through by id: a guild with no more members than a
/// walk has rows is answered exactly in any case. Nicknames have an index per guild.
fn members_by_prefix(
    connection: &Connection,
    guild: GuildId,
    prefix: &str,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let rows = limits::STORE_SEARCH_ROWS_MAX;
    let end = after_prefix(prefix);
    let mut hits = BTreeSet::new();
    let mut walked = 0;
    {
        let mut is_member = statement(connection, "SELECT 1 FROM members WHERE guild_id = ?1 AND user_id = ?2")?;
        let mut names = statement(connection, "SELECT id FROM users WHERE name_key >= ?1 AND name_key < ?2 LIMIT ?3")?;
        let mut named = names.query(params![prefix, end, rows])?;
        while hits.len() < limit as usize
            && let Some(row) = named.next()?
        {
            walked += 1;
            let user = id(row, 0)?;
            if is_member.exists(params![asked(guild), asked(user)])? {
                hits.insert(user);
            }
        }
    }
    if walked == rows && hits.len() < limit as usize {
        hits.extend(all(
            connection,
            "SELECT m.user_id
             FROM (SELECT user_id FROM members WHERE guild_id = ?1 ORDER BY user_id LIMIT ?4) m
             CROSS JOIN users u ON u.id = m.user_id
             WHERE u.name_key >= ?2 AND u.name_key < ?3 ORDER BY m.user_id LIMIT ?5",
            params![asked(guild), prefix, end, rows, limit],
            |row| id(row, 0),
        )?);
    }
    if hits.len() < limit as usize {
        hits.extend(all(
            connection,
            "SELECT user_id FROM members WHERE guild_id = ?1 AND nick_key >= ?2 AND nick_key < ?3 LIMIT ?4",
            params![asked(guild), prefix, end, limit],
            |row| id(row, 0),
        )?);
    }
    members_among(connection, guild, hits.into_iter().take(limit as usize))
}

/// Newest first.
fn messages(
    connection: &Connection,
    channel: ChannelId,
    anchor: Anchor,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let up_to = |last: i64, limit: u32| {
        let sql = messages_where!("m.channel_id = ?1 AND m.id <= ?2 ORDER BY m.id DESC LIMIT ?3");
        all(connection, sql, params![asked(channel), last, limit], message_of)
    };
    let newer_than = |message: MessageId, limit: u32| {
        let sql = messages_where!("m.channel_id = ?1 AND m.id > ?2 ORDER BY m.id LIMIT ?3");
        let mut newer = all(connection, sql, params![asked(channel), asked(message), limit], message_of)?;
        newer.reverse();
        Ok::<_, StoreError>(newer)
    };
    match anchor {
        Anchor::Newest => up_to(i64::MAX, limit),
        Anchor::Before(message) => up_to(asked(message).saturating_sub(1), limit),
        Anchor::After(message) => newer_than(message, limit),
        Anchor::Around(message) => {
            let mut around = newer_than(message, limit / 2)?;
            around.extend(up_to(asked(message), limit - limit / 2)?);
            Ok(around)
        }
    }
}

/// The first text after all those that start with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

#[cfg(test)]
mod tests {
    use crate::store::sqlite::SqliteStore;

    #[test]
    fn no_question_walks_through_a_whole_table() {
        let store = SqliteStore::in_memory().unwrap();
        for sql in [
            members_where!("m.guild_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3"),
            members_where!("m.guild_id = ?1 AND m.user_id = ?2"),
            messages_where!("m.channel_id = ?1 AND m.id <= ?2 ORDER BY m.id DESC LIMIT ?3"),
            messages_where!("m.channel_id = ?1 AND m.id > ?2 ORDER BY m.id LIMIT ?3"),
            invites_where!("i.guild_id = ?1 ORDER BY i.code"),
            account_where!("name_key = ?1 AND bot = 0 AND password IS NOT NULL"),
            "SELECT g.data FROM members m CROSS JOIN guilds g ON g.id = m.guild_id
             WHERE m.user_id = ?1 AND m.guild_id > ?2 ORDER BY m.guild_id LIMIT ?3",
            "SELECT data, (SELECT max(m.id) FROM messages m WHERE m.channel_id = c.id)
             FROM channels c WHERE guild_id = ?1 ORDER BY id",
            "SELECT guild_id FROM channels WHERE id = ?1",
            "SELECT member_count FROM guilds WHERE id = ?1",
            "SELECT id FROM roles WHERE guild_id = ?1",
            "SELECT id FROM users WHERE name_key >= ?1 AND name_key < ?2 LIMIT ?3",
            "SELECT user_id FROM members WHERE guild_id = ?1 AND nick_key >= ?2 AND nick_key < ?3 LIMIT ?4",
            "DELETE FROM messages WHERE channel_id IN (SELECT id FROM channels WHERE guild_id = ?1)",
            "DELETE FROM invites WHERE guild_id = ?1 AND channel_id = ?2",
        ] {
            let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let arguments = vec![1i64; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(arguments), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(
                !steps.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")),
                "{sql}: {steps:?}"
            );
        }
    }
}

//! The table `members`: who is in which guild, and how.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.
//! Invariants: `guilds.member_count` changes exactly when a row appears or disappears; a member is found only while its
//! guild's row is there. Roles that are gone stay in the rows and are left out by every query.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use smallvec::SmallVec;

use super::accounts::{self, user_columns, user_of};
use super::statement::{Cells, all, asked, exists, fold, key, marks, names, one, replaced, run, statement, whole};
use super::sweep::Sweep;
use super::{guilds, roles};
use crate::base::id::{GuildId, RoleId, UserId};
use crate::limits;
use crate::model::member::Member;
use crate::model::user::User;
use crate::store::{Conflict, MembersPage, StoreError};
use crate::wire::model::member::MemberView;

pub(super) const TABLE: &str = "
    CREATE TABLE members (
        guild_id         INTEGER NOT NULL,
        user_id          INTEGER NOT NULL,
        nick             TEXT,
        nick_key         TEXT,
        -- Ids of 8 bytes each, little endian; NULL is none, which most have.
        roles            BLOB,
        joined_at_ms     INTEGER NOT NULL,
        deaf             INTEGER NOT NULL,
        mute             INTEGER NOT NULL,
        timeout_until_ms INTEGER NOT NULL,
        PRIMARY KEY (guild_id, user_id)
    ) WITHOUT ROWID;
    CREATE INDEX members_by_user ON members (user_id, guild_id);
    CREATE INDEX members_by_nick ON members (guild_id, nick_key) WHERE nick_key IS NOT NULL;
";

pub(super) const SWEEP: Sweep = Sweep {
    name: "members",
    delete: "DELETE FROM members WHERE guild_id = ?1
             AND user_id IN (SELECT user_id FROM members WHERE guild_id = ?1 ORDER BY user_id LIMIT ?2)",
};

/// What a [`Member`] has besides its user; [`values`] and [`member_of`] go through them in this order.
macro_rules! columns {
    ($form:ident $($table:ident)?) => {
        $form!($($table)? [nick roles joined_at_ms deaf mute timeout_until_ms])
    };
}

/// What comes before them in [`values`].
macro_rules! keys {
    ($form:ident) => { $form!([guild_id user_id nick_key]) };
}

macro_rules! insert {
    () => {
        concat!(
            "INSERT INTO members (",
            keys!(names),
            ", ",
            columns!(names),
            ") VALUES (",
            keys!(marks),
            ", ",
            columns!(marks),
            ")"
        )
    };
}

// CROSS JOIN fixes the order of the loops: members first, then each one's user.
macro_rules! members_where {
    ($condition:literal) => {
        concat!(
            "SELECT m.user_id, ", user_columns!(names u), ", ", columns!(names m),
            " FROM members m CROSS JOIN users u ON u.id = m.user_id WHERE ", $condition
        )
    };
}

fn values(guild: GuildId, user: UserId, member: &Member) -> impl Iterator<Item = Value> {
    let nick_key = member.nick.as_deref().map(fold);
    [
        key(guild).into(),
        key(user).into(),
        nick_key.into(),
        member.nick.clone().into(),
        role_bytes(&member.roles).into(),
        whole(member.joined_at_ms).into(),
        member.deaf.into(),
        member.mute.into(),
        whole(member.timeout_until_ms).into(),
    ]
    .into_iter()
}

fn member_of(row: &Row<'_>) -> rusqlite::Result<Member> {
    let mut cells = Cells::of(row);
    Ok(Member {
        user: user_of(&mut cells)?,
        nick: cells.take()?,
        roles: role_ids(cells.raw()?.as_blob_or_null()?),
        joined_at_ms: cells.number()?,
        deaf: cells.take()?,
        mute: cells.take()?,
        timeout_until_ms: cells.number()?,
    })
}

fn role_bytes(roles: &[RoleId]) -> Option<Vec<u8>> {
    (!roles.is_empty()).then(|| roles.iter().flat_map(|role| role.get().to_le_bytes()).collect())
}

fn role_ids(bytes: Option<&[u8]>) -> SmallVec<[RoleId; 2]> {
    let (whole, _) = bytes.unwrap_or_default().as_chunks::<8>();
    whole.iter().map(|bytes| RoleId::new(u64::from_le_bytes(*bytes))).collect()
}

// ── writes ──

/// Counts only a row that was not there.
pub(super) fn put(connection: &Connection, guild: GuildId, member: &Member) -> Result<(), StoreError> {
    let user = member.user.id;
    if !is_member(connection, guild, user)? {
        if !accounts::exists(connection, user)? {
            return Err(StoreError::Conflict(Conflict::Gone));
        }
        guilds::count_members(connection, guild, 1)?;
    }
    let sql = concat!(
        insert!(),
        " ON CONFLICT (guild_id, user_id) DO UPDATE SET nick_key = excluded.nick_key, ",
        columns!(replaced)
    );
    run(connection, sql, params_from_iter(values(guild, user, member))).map(drop)
}

pub(super) fn remove(connection: &Connection, guild: GuildId, user: UserId) -> Result<(), StoreError> {
    if !guilds::exists(connection, guild)? {
        return Ok(());
    }
    let sql = "DELETE FROM members WHERE guild_id = ?1 AND user_id = ?2";
    if run(connection, sql, params![asked(guild), asked(user)])? > 0 {
        guilds::count_members(connection, guild, -1)?;
    }
    Ok(())
}

/// New members with the same roles: see [`Bulk::add_members`](crate::store::backend::Bulk::add_members).
pub(super) fn add_many(
    connection: &Connection,
    guild: GuildId,
    users: &[UserId],
    roles: &[RoleId],
    joined_at_ms: u64,
) -> Result<(), StoreError> {
    guilds::count_members(connection, guild, whole(users.len() as u64))?;
    let nobody = User { id: UserId::new(0), username: String::new(), global_name: None, avatar: None, bot: false };
    let same = Member { roles: roles.iter().copied().collect(), ..Member::new(nobody, joined_at_ms) };
    let mut insert = statement(connection, insert!())?;
    for user in users {
        insert.execute(params_from_iter(values(guild, *user, &same)))?;
    }
    Ok(())
}

// ── queries ──

/// By ascending id.
pub(super) fn guilds_of(connection: &Connection, user: UserId) -> Result<Vec<GuildId>, StoreError> {
    let sql = "SELECT m.guild_id FROM members m CROSS JOIN guilds g ON g.id = m.guild_id
               WHERE m.user_id = ?1 ORDER BY m.guild_id";
    all(connection, sql, params![asked(user)], |row| Cells::of(row).id())
}

/// By ascending id.
pub(super) fn page(
    connection: &Connection,
    guild: GuildId,
    after: UserId,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    if !guilds::exists(connection, guild)? {
        return Ok(Vec::new());
    }
    let limit = limit.clamp(1, limits::MEMBERS_PAGE_MAX);
    let sql = members_where!("m.guild_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3");
    let members = all(connection, sql, params![asked(guild), asked(after), limit], member_of)?;
    without_gone_roles(connection, guild, members)
}

/// A page as JSON. One member is held at a time.
pub(super) fn rendered_page(
    connection: &Connection,
    guild: GuildId,
    after: UserId,
) -> Result<Option<MembersPage>, StoreError> {
    let Some(member_count) = guilds::member_count(connection, guild)? else { return Ok(None) };
    let roles = roles::ids_of(connection, guild)?;
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
        serde_json::to_writer(&mut json, &MemberView(&member)).expect("a member is JSON");
    }
    json.extend_from_slice(if count == 0 { b"[]" } else { b"]" });
    Ok(Some(MembersPage { json, users, more: count > limits::MEMBERS_CHUNK, member_count }))
}

/// Bytes of a member's JSON, as a rule.
const MEMBER_BYTES: usize = 512;

/// In the order of `users`.
pub(super) fn among(
    connection: &Connection,
    guild: GuildId,
    users: impl IntoIterator<Item = UserId>,
) -> Result<Vec<Member>, StoreError> {
    if !guilds::exists(connection, guild)? {
        return Ok(Vec::new());
    }
    let mut members = Vec::new();
    let sql = members_where!("m.guild_id = ?1 AND m.user_id = ?2");
    for user in users {
        members.extend(one(connection, sql, params![asked(guild), asked(user)], member_of)?);
    }
    without_gone_roles(connection, guild, members)
}

fn is_member(connection: &Connection, guild: GuildId, user: UserId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM members WHERE guild_id = ?1 AND user_id = ?2";
    Ok(guilds::exists(connection, guild)? && exists(connection, sql, params![asked(guild), asked(user)])?)
}

fn without_gone_roles(
    connection: &Connection,
    guild: GuildId,
    mut members: Vec<Member>,
) -> Result<Vec<Member>, StoreError> {
    if members.iter().any(|member| !member.roles.is_empty()) {
        let roles = roles::ids_of(connection, guild)?;
        for member in &mut members {
            member.roles.retain(|role| roles.contains(role));
        }
    }
    Ok(members)
}

/// Each walk looks at [`limits::STORE_SEARCH_ROWS_MAX`] rows at most, so a guild of millions costs no more than a small
/// one.
///
/// All users with such names are walked through until enough of them are members. If that walk had to be broken off,
/// for there are more such users, of whom few are members, the guild's members are walked through by id: a guild with
/// no more members than a walk has rows is answered exactly in any case. Nicknames have an index per guild.
pub(super) fn by_prefix(
    connection: &Connection,
    guild: GuildId,
    prefix: &str,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let limit = limit.clamp(1, limits::MEMBERS_PAGE_MAX);
    let rows = limits::STORE_SEARCH_ROWS_MAX;
    let prefix = fold(prefix);
    let end = after_prefix(&prefix);
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
            let user = Cells::of(row).id()?;
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
            |row| Cells::of(row).id(),
        )?);
    }
    if hits.len() < limit as usize {
        hits.extend(all(
            connection,
            "SELECT user_id FROM members WHERE guild_id = ?1 AND nick_key >= ?2 AND nick_key < ?3 LIMIT ?4",
            params![asked(guild), prefix, end, limit],
            |row| Cells::of(row).id(),
        )?);
    }
    among(connection, guild, hits.into_iter().take(limit as usize))
}

/// The first text after all those that start with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

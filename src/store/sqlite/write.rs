//! Writes: each becomes a few statements inside the group's transaction.
//!
//! Lives on: the store's writer, the operator's commands, the simulator.
//! Invariant kept here: `guilds.member_count` changes exactly when a row of `members` appears or disappears.

use rusqlite::{Connection, ErrorCode, ffi, params};

use super::{asked, fold, json, key, role_bytes, run, statement, whole};
use crate::base::id::{GuildId, UserId};
use crate::store::{Conflict, StoreError, Write};
use crate::wire::model::account::Account;
use crate::wire::model::invite::Invite;
use crate::wire::model::member::Member;
use crate::wire::model::message::Extra;

/// Carries out one change, within the caller's transaction.
pub(super) fn apply(connection: &Connection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::CreateAccount { account, password } => create_account(connection, account, password.as_deref()),
        Write::RevokeTokens { user, valid_from_ms } => gone_if_unchanged(run(
            connection,
            "UPDATE users SET tokens_valid_from_ms = max(tokens_valid_from_ms, ?2) WHERE id = ?1",
            params![asked(*user), whole(*valid_from_ms)],
        )?),
        Write::PutGuild(guild) => run(
            connection,
            "INSERT INTO guilds (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
            params![key(guild.id), json(guild)?],
        )
        .map(drop),
        Write::DeleteGuild(guild) => delete_guild(connection, *guild),
        Write::PutChannel(channel) => run(
            connection,
            "INSERT INTO channels (guild_id, id, data) VALUES (?1, ?2, ?3)
             ON CONFLICT (guild_id, id) DO UPDATE SET data = excluded.data",
            params![key(channel.guild_id), key(channel.id), json(channel)?],
        )
        .map(drop),
        Write::DeleteChannel(guild, channel) => {
            let both = params![asked(*guild), asked(*channel)];
            run(connection, "DELETE FROM messages WHERE channel_id = ?1", params![asked(*channel)])?;
            run(connection, "DELETE FROM invites WHERE guild_id = ?1 AND channel_id = ?2", both)?;
            run(connection, "DELETE FROM channels WHERE guild_id = ?1 AND id = ?2", both).map(drop)
        }
        Write::PutRole(guild, role) => run(
            connection,
            "INSERT INTO roles (guild_id, id, data) VALUES (?1, ?2, ?3)
             ON CONFLICT (guild_id, id) DO UPDATE SET data = excluded.data",
            params![key(*guild), key(role.id), json(role)?],
        )
        .map(drop),
        Write::DeleteRole(guild, role) => run(
            connection,
            "DELETE FROM roles WHERE guild_id = ?1 AND id = ?2",
            params![asked(*guild), asked(*role)],
        )
        .map(drop),
        Write::PutMember(guild, member) => put_member(connection, *guild, member),
        Write::RemoveMember(guild, user) => remove_member(connection, *guild, *user),
        Write::CreateMessage(message) => run(
            connection,
            "INSERT INTO messages (channel_id, id, guild_id, author_id, content, edited_at_ms, extra)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                key(message.channel_id),
                key(message.id),
                key(message.guild_id),
                key(message.author.id),
                message.content,
                message.edited_at_ms.map(whole),
                extra_json(&message.extra)?,
            ],
        )
        .map(drop),
        Write::EditMessage(message) => gone_if_unchanged(run(
            connection,
            "UPDATE messages SET content = ?3, edited_at_ms = ?4, extra = ?5 WHERE channel_id = ?1 AND id = ?2",
            params![
                asked(message.channel_id),
                asked(message.id),
                message.content,
                message.edited_at_ms.map(whole),
                extra_json(&message.extra)?,
            ],
        )?),
        Write::DeleteMessage(channel, message) => gone_if_unchanged(run(
            connection,
            "DELETE FROM messages WHERE channel_id = ?1 AND id = ?2",
            params![asked(*channel), asked(*message)],
        )?),
        Write::PutInvite(invite) => put_invite(connection, invite),
        Write::UseInvite { code, unix_ms } => gone_if_unchanged(run(
            connection,
            "UPDATE invites SET uses = uses + 1
             WHERE code = ?1 AND (max_age = 0 OR created_at_ms + max_age * 1000 > ?2) AND (max_uses = 0 OR uses < max_uses)",
            params![code, whole(*unix_ms)],
        )?),
        Write::DeleteInvite(code) => run(connection, "DELETE FROM invites WHERE code = ?1", params![code]).map(drop),
    }
}

fn create_account(connection: &Connection, account: &Account, password: Option<&str>) -> Result<(), StoreError> {
    let user = &account.user;
    let mut insert = statement(
        connection,
        "INSERT INTO users (id, username, name_key, global_name, avatar, bot, owner, privileged, tokens_valid_from_ms, password)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let inserted = insert.execute(params![
        key(user.id),
        user.username,
        fold(&user.username),
        user.global_name,
        user.avatar,
        user.bot,
        account.owner.map(key),
        account.privileged,
        whole(account.tokens_valid_from_ms),
        password,
    ]);
    match inserted {
        // The only unique index is the one on the name; an id in use has another code.
        Err(rusqlite::Error::SqliteFailure(code, _))
            if code.code == ErrorCode::ConstraintViolation && code.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE =>
        {
            Err(StoreError::Conflict(Conflict::NameTaken))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

fn delete_guild(connection: &Connection, guild: GuildId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM messages WHERE channel_id IN (SELECT id FROM channels WHERE guild_id = ?1)",
        "DELETE FROM invites WHERE guild_id = ?1",
        "DELETE FROM channels WHERE guild_id = ?1",
        "DELETE FROM roles WHERE guild_id = ?1",
        "DELETE FROM members WHERE guild_id = ?1",
        "DELETE FROM guilds WHERE id = ?1",
    ] {
        run(connection, sql, params![asked(guild)])?;
    }
    Ok(())
}

/// Counts only a row that was not there. Refused with [`Conflict::Gone`] when the user or the guild is not there.
fn put_member(connection: &Connection, guild: GuildId, member: &Member) -> Result<(), StoreError> {
    let values = params![
        key(guild),
        key(member.user.id),
        member.nick,
        member.nick.as_deref().map(fold),
        role_bytes(&member.roles),
        whole(member.joined_at_ms),
        member.deaf,
        member.mute,
        whole(member.timeout_until_ms),
    ];
    let changed = run(
        connection,
        "UPDATE members SET nick = ?3, nick_key = ?4, roles = ?5, joined_at_ms = ?6, deaf = ?7, mute = ?8,
         timeout_until_ms = ?9 WHERE guild_id = ?1 AND user_id = ?2",
        values,
    )?;
    if changed > 0 {
        return Ok(());
    }
    gone_if_unchanged(run(
        connection,
        "INSERT INTO members (guild_id, user_id, nick, nick_key, roles, joined_at_ms, deaf, mute, timeout_until_ms)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM users WHERE id = ?2)",
        values,
    )?)?;
    gone_if_unchanged(run(
        connection,
        "UPDATE guilds SET member_count = member_count + 1 WHERE id = ?1",
        params![key(guild)],
    )?)
}

fn remove_member(connection: &Connection, guild: GuildId, user: UserId) -> Result<(), StoreError> {
    let both = params![asked(guild), asked(user)];
    let removed = run(connection, "DELETE FROM members WHERE guild_id = ?1 AND user_id = ?2", both)?;
    if removed > 0 {
        run(connection, "UPDATE guilds SET member_count = member_count - 1 WHERE id = ?1", params![asked(guild)])?;
    }
    Ok(())
}

fn extra_json(extra: &Extra) -> Result<Option<String>, StoreError> {
    if *extra == Extra::default() { Ok(None) } else { json(extra).map(Some) }
}

fn put_invite(connection: &Connection, invite: &Invite) -> Result<(), StoreError> {
    run(
        connection,
        "INSERT INTO invites (code, guild_id, channel_id, inviter_id, created_at_ms, max_age, max_uses, uses, temporary)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            invite.code,
            key(invite.guild_id),
            key(invite.channel_id),
            key(invite.inviter.id),
            whole(invite.created_at_ms),
            whole(invite.max_age),
            invite.max_uses,
            invite.uses,
            invite.temporary,
        ],
    )
    .map(drop)
}

fn gone_if_unchanged(changed: usize) -> Result<(), StoreError> {
    if changed == 0 { Err(StoreError::Conflict(Conflict::Gone)) } else { Ok(()) }
}

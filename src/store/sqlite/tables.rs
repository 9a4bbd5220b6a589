//! The tables put together: migrations, sweeps, and which table carries out a write or answers a query.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.
//! A new table is named here, in `store::write` and in `store::query`; the rest is in its own file.

use rusqlite::Connection;

use super::meta::{self, Migration};
use super::sweep::{self, Sweep};
use super::{accounts, cascade, channels, guilds, invites, members, messages, notes, pins, roles};
use crate::store::{Found, Query, StoreError, Write};

/// From an empty database to the current one. A migration that was released is never edited; changes are appended.
///
/// Ids are snowflakes as 64-bit integers. No foreign keys are declared: the writes check what must exist.
pub(super) const MIGRATIONS: &[Migration] = &[
    &[
        meta::TABLE,
        accounts::TABLE,
        guilds::TABLE,
        channels::TABLE,
        roles::TABLE,
        members::TABLE,
        messages::TABLE,
        invites::TABLE,
    ],
    &[channels::BY_ID],
    &[sweep::TABLE],
    &[guilds::RECORDS, channels::RECORDS, roles::RECORDS],
    &[pins::TABLE],
    &[notes::TABLE],
];

/// Tables whose rows go with a guild or a channel, too many of them for one transaction.
pub(super) const SWEEPS: &[&Sweep] = &[&members::SWEEP, &messages::SWEEP, &pins::SWEEP];

/// Carries out one change, within the caller's transaction.
pub(super) fn apply(connection: &Connection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::CreateAccount { account, password } => accounts::create(connection, account, password.as_deref()),
        Write::RevokeTokens { user, valid_from_ms } => accounts::revoke_tokens(connection, *user, *valid_from_ms),
        Write::PutGuild(guild) => cascade::put_guild(connection, guild),
        Write::DeleteGuild(guild) => cascade::delete_guild(connection, *guild),
        Write::PutChannel(channel) => cascade::put_channel(connection, channel),
        Write::DeleteChannel(guild, channel) => cascade::delete_channel(connection, *guild, *channel),
        Write::PutRole(guild, role) => roles::put(connection, *guild, role),
        Write::DeleteRole(guild, role) => roles::delete(connection, *guild, *role),
        Write::PutMember(guild, member) => members::put(connection, *guild, member),
        Write::RemoveMember(guild, user) => members::remove(connection, *guild, *user),
        Write::CreateMessage(message) => messages::create(connection, message),
        Write::EditMessage(message) => messages::edit(connection, message),
        Write::DeleteMessage(channel, message) => cascade::delete_message(connection, *channel, *message),
        Write::Pin(pin) => pins::put(connection, pin),
        Write::Unpin(channel, message) => pins::remove(connection, *channel, *message),
        Write::SetNote(note) => notes::set(connection, note),
        Write::PutInvite(invite) => invites::put(connection, invite),
        Write::UseInvite { code, unix_ms } => invites::use_once(connection, code, *unix_ms),
        Write::DeleteInvite(code) => invites::delete(connection, code),
    }
}

/// Answers one question, within the caller's transaction.
pub(super) fn find(connection: &Connection, query: &Query) -> Result<Found, StoreError> {
    Ok(match query {
        Query::Guild(guild) => Found::Guild(guilds::load(connection, *guild)?.map(Box::new)),
        Query::Member(guild, user) => Found::Member(members::among(connection, *guild, [*user])?.pop().map(Box::new)),
        Query::Members { guild, after, limit } => Found::Members(members::page(connection, *guild, *after, *limit)?),
        Query::MembersListed { guild, after } => {
            Found::Listed(members::rendered_page(connection, *guild, *after)?.map(Box::new))
        }
        Query::MembersByPrefix { guild, prefix, limit } => {
            Found::Members(members::by_prefix(connection, *guild, prefix, *limit)?)
        }
        Query::MembersAmong(guild, users) => {
            let users: std::collections::BTreeSet<_> = users.iter().copied().collect();
            Found::Members(members::among(connection, *guild, users)?)
        }
        Query::Account(user) => Found::Account(accounts::account(connection, *user)?.map(Box::new)),
        Query::AccountWithGuilds(user) => Found::AccountWithGuilds(match accounts::account(connection, *user)? {
            Some(account) => Some(Box::new((account, members::guilds_of(connection, *user)?))),
            None => None,
        }),
        Query::GuildsOf { user, after, limit } => Found::Guilds(guilds::of_user(connection, *user, *after, *limit)?),
        Query::GuildOfChannel(channel) => Found::GuildOf(channels::guild_of(connection, *channel)?),
        Query::Message(channel, message) => {
            Found::Message(messages::one(connection, *channel, *message)?.map(Box::new))
        }
        Query::Messages { channel, anchor, limit } => {
            Found::Messages(messages::page(connection, *channel, *anchor, *limit)?)
        }
        Query::Pins { channel, before_ms, limit } => Found::Pins(pins::page(connection, *channel, *before_ms, *limit)?),
        Query::Notes { author, about } => Found::Notes(notes::of_user(connection, *author, *about)?),
        Query::Invite(code) => Found::Invite(invites::by_code(connection, code)?.map(Box::new)),
        Query::Invites(guild) => Found::Invites(invites::of_guild(connection, *guild)?),
        Query::Login(username) => Found::Login(accounts::login(connection, username)?.map(Box::new)),
        Query::Revocations => Found::Revocations(accounts::revocations(connection)?),
        Query::Users(users) => Found::Users(accounts::users(connection, users)?),
    })
}

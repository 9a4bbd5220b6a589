//! The tests that every backend must pass. A backend instantiates them with [`instantiate!`].
//!
//! Lives on: tests alone.

use std::collections::HashSet;
use std::path::Path;

use serde_json::json;

use crate::base::id::{ChannelId, GuildId, MessageId, Mint, RoleId, UserId};
use crate::base::virtual_shard::VirtualShard;
use crate::limits;
use crate::model::account::Account;
use crate::model::channel::{Channel, ChannelKind, Overwrite, OverwriteKind};
use crate::model::guild::GuildSettings;
use crate::model::invite::Invite;
use crate::model::member::Member;
use crate::model::message::{Extra, Message};
use crate::model::permissions::Permissions;
use crate::model::pin::Pin;
use crate::model::role::Role;
use crate::model::user::User;
use crate::model::user_note::UserNote;
use crate::store::backend::{Backend, Bulk, Store, fill_members};
use crate::store::scratch::Scratch;
use crate::store::{Anchor, Commit, Conflict, Found, Query, StoreError, Write};

/// Opens the database at the path, and creates it if it is missing; without a path a fresh one that ends with the
/// value.
pub(super) type Open = fn(Option<&Path>) -> Box<dyn Backend>;

pub(super) const GUILD: GuildId = GuildId::new(1_000);
const OTHER: GuildId = GuildId::new(2_000);
pub(super) const CHANNEL: ChannelId = ChannelId::new(1_001);
pub(super) const ANN: u64 = 1;
const BOB: u64 = 2;
const ROBOT: u64 = 3;

pub(super) fn account(id: u64, username: &str, bot: bool) -> Account {
    let user = User { id: UserId::new(id), username: username.into(), global_name: None, avatar: None, bot };
    Account { user, owner: None, privileged: 0, tokens_valid_from_ms: 0 }
}

fn create(account: Account) -> Write {
    Write::CreateAccount { account: Box::new(account), password: None }
}

fn member(id: u64, username: &str) -> Member {
    Member::new(account(id, username, false).user, 1_700_000_000_000)
}

fn put(guild: GuildId, member: Member) -> Write {
    Write::PutMember(guild, Box::new(member))
}

fn channel(id: ChannelId, guild: GuildId, name: &str, kind: ChannelKind) -> Channel {
    Channel {
        id,
        guild_id: guild,
        kind,
        name: name.into(),
        topic: None,
        position: 3,
        parent_id: None,
        nsfw: false,
        rate_limit_per_user: 0,
        bitrate: 0,
        user_limit: 0,
        overwrites: Vec::new(),
        last_message_id: None,
        last_pin_ms: None,
    }
}

pub(super) fn message(id: u64) -> Message {
    Message {
        id: MessageId::new(id),
        channel_id: CHANNEL,
        guild_id: GUILD,
        author: account(ANN, "Ann", false).user,
        content: format!("message {id}"),
        edited_at_ms: None,
        extra: Extra::default(),
    }
}

pub(super) fn post(id: u64) -> Write {
    Write::CreateMessage(Box::new(message(id)))
}

fn invite(code: &str) -> Invite {
    Invite {
        code: code.into(),
        guild_id: GUILD,
        channel_id: CHANNEL,
        inviter: account(ANN, "Ann", false).user,
        created_at_ms: 10_000,
        max_age: 0,
        max_uses: 0,
        uses: 0,
        temporary: false,
    }
}

/// Ann, Bob and a bot; two guilds that Ann and Bob are in; a channel.
pub(super) fn small_world() -> Vec<Write> {
    vec![
        create(account(ANN, "Ann", false)),
        create(account(BOB, "bob", false)),
        create(account(ROBOT, "Robot", true)),
        Write::PutGuild(Box::new(GuildSettings::new(GUILD, "first".into(), UserId::new(ANN)))),
        Write::PutGuild(Box::new(GuildSettings::new(OTHER, "second".into(), UserId::new(BOB)))),
        Write::PutRole(GUILD, Box::new(Role::everyone(GUILD))),
        Write::PutChannel(Box::new(channel(CHANNEL, GUILD, "talk", ChannelKind::Text))),
        put(GUILD, member(ANN, "Ann")),
        put(GUILD, member(BOB, "bob")),
        put(OTHER, member(ANN, "Ann")),
        put(OTHER, member(BOB, "bob")),
    ]
}

fn world(open: Open) -> Box<dyn Backend> {
    let mut store = open(None);
    commit(&mut *store, small_world());
    store
}

fn of_guild(writes: Vec<Write>) -> Commit {
    Commit::of(VirtualShard::of(GUILD), writes)
}

pub(super) fn try_commit(store: &mut dyn Store, writes: Vec<Write>) -> Result<(), StoreError> {
    store.commit(&[of_guild(writes)]).pop().unwrap()
}

#[track_caller]
pub(super) fn commit(store: &mut dyn Store, writes: Vec<Write>) {
    try_commit(store, writes).unwrap();
}

/// Sweeps to the end, and says how many slices it took.
fn sweep_all(store: &mut dyn Backend) -> usize {
    (1..).find(|_| !store.sweep().unwrap()).unwrap()
}

const GONE: Result<(), StoreError> = Err(StoreError::Conflict(Conflict::Gone));
const TAKEN: Result<(), StoreError> = Err(StoreError::Conflict(Conflict::NameTaken));

macro_rules! ask {
    ($store:expr, $query:expr => $found:ident) => {
        match $store.read(&$query).unwrap() {
            Found::$found(found) => found,
            other => panic!("not what was asked for: {other:?}"),
        }
    };
}
pub(super) use ask;

/// Members of a guild by its count, which is that of the rows.
pub(super) fn count(store: &mut dyn Store, guild: GuildId) -> u64 {
    let counted = ask!(store, Query::Guild(guild) => Guild).unwrap().member_count;
    let (mut rows, mut after) = (0, UserId::new(0));
    loop {
        let page = ask!(store, Query::Members { guild, after, limit: 1_000 } => Members);
        rows += page.len() as u64;
        let Some(last) = page.last() else { break };
        after = last.user.id;
    }
    assert_eq!(counted, rows, "the count of members is wrong");
    counted
}

pub(super) fn ids(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.id.get()).collect()
}

fn users(members: &[Member]) -> Vec<u64> {
    members.iter().map(|member| member.user.id.get()).collect()
}

pub(super) fn accounts_come_back_and_names_are_taken_without_regard_to_case(open: Open) {
    let mut store = world(open);
    let mut full = account(50, "Größe", false);
    full.user.global_name = Some("The \0 \"one\"".into());
    full.user.avatar = Some("a_0123".into());
    full.owner = Some(UserId::new(ANN));
    full.privileged = u32::MAX;
    let write = Write::CreateAccount { account: Box::new(full.clone()), password: Some("$phc".into()) };
    commit(&mut *store, vec![write]);
    assert_eq!(ask!(store, Query::Account(UserId::new(50)) => Account), Some(Box::new(full.clone())));
    assert_eq!(ask!(store, Query::Account(UserId::new(51)) => Account), None);

    assert_eq!(try_commit(&mut *store, vec![create(account(51, "GRÖSSE", false))]), Ok(()));
    assert_eq!(try_commit(&mut *store, vec![create(account(52, "GRÖßE", false))]), TAKEN);
    assert_eq!(try_commit(&mut *store, vec![create(account(53, "ANN", true))]), TAKEN);
    // An id in use is no matter of names.
    assert!(matches!(try_commit(&mut *store, vec![create(account(50, "new", false))]), Err(StoreError::Failed(_))));

    assert_eq!(ask!(store, Query::Login("gRÖßE".into()) => Login), Some(Box::new((full, "$phc".into()))));
    for no_login in ["Robot", "Ann", "nobody"] {
        assert_eq!(ask!(store, Query::Login(no_login.into()) => Login), None);
    }
    let users = ask!(store, Query::Users(vec![UserId::new(ROBOT), UserId::new(99), UserId::new(ANN)]) => Users);
    assert_eq!(users.iter().map(|user| &*user.username).collect::<Vec<_>>(), ["Robot", "Ann"]);
    assert!(users[0].bot);
}

pub(super) fn revocations_are_listed_and_only_move_forward(open: Open) {
    let mut store = world(open);
    assert_eq!(ask!(store, Query::Revocations => Revocations), []);
    let revoke = |user, valid_from_ms| vec![Write::RevokeTokens { user: UserId::new(user), valid_from_ms }];
    commit(&mut *store, revoke(BOB, 500));
    commit(&mut *store, revoke(ANN, 900));
    commit(&mut *store, revoke(ANN, 800));
    let expected = [(UserId::new(ANN), 900), (UserId::new(BOB), 500)];
    assert_eq!(ask!(store, Query::Revocations => Revocations), expected);
    assert_eq!(ask!(store, Query::Account(UserId::new(ANN)) => Account).unwrap().tokens_valid_from_ms, 900);
    assert_eq!(try_commit(&mut *store, revoke(77, 1)), GONE);
}

pub(super) fn a_guild_is_loaded_with_channels_roles_and_newest_messages(open: Open) {
    let mut store = world(open);
    let mut guild = GuildSettings::new(GUILD, "renamed".into(), UserId::new(BOB));
    guild.features = vec!["COMMUNITY".into()];
    guild.afk_channel_id = Some(CHANNEL);
    let mut voice = channel(ChannelId::new(1_002), GUILD, "voice", ChannelKind::Voice);
    (voice.bitrate, voice.user_limit, voice.parent_id) = (64_000, 5, Some(CHANNEL));
    voice.overwrites =
        vec![Overwrite { id: BOB, kind: OverwriteKind::Member, allow: Permissions::all(), deny: Permissions::empty() }];
    let mut talk = channel(CHANNEL, GUILD, "renamed", ChannelKind::Text);
    // What a caller says here is not kept.
    talk.last_message_id = Some(MessageId::new(1));
    let mut role = Role::everyone(GUILD);
    (role.id, role.name, role.color) = (RoleId::new(1_003), "mods".into(), 0xff_00_ff);
    commit(
        &mut *store,
        vec![
            Write::PutGuild(Box::new(guild.clone())),
            Write::PutChannel(Box::new(voice.clone())),
            Write::PutChannel(Box::new(talk.clone())),
            Write::PutRole(GUILD, Box::new(role.clone())),
            post(10),
            post(12),
            post(11),
        ],
    );
    talk.last_message_id = Some(MessageId::new(12));
    let record = ask!(store, Query::Guild(GUILD) => Guild).unwrap();
    assert_eq!(record.guild, guild);
    assert_eq!(record.channels, [talk, voice]);
    assert_eq!(record.roles, [Role::everyone(GUILD), role.clone()]);
    assert_eq!(record.member_count, 2);

    commit(&mut *store, vec![Write::DeleteRole(GUILD, role.id), Write::DeleteMessage(CHANNEL, MessageId::new(12))]);
    let record = ask!(store, Query::Guild(GUILD) => Guild).unwrap();
    assert_eq!(record.roles, [Role::everyone(GUILD)]);
    assert_eq!(record.channels[0].last_message_id, Some(MessageId::new(11)));
    assert_eq!(ask!(store, Query::Guild(GuildId::new(9)) => Guild), None);
}

pub(super) fn deleting_takes_along_what_is_inside_and_nothing_else(open: Open) {
    let mut store = world(open);
    let side = ChannelId::new(1_005);
    let elsewhere = Message { channel_id: side, ..message(30) };
    let into_side = Invite { channel_id: side, ..invite("side") };
    let writes = vec![
        Write::PutChannel(Box::new(channel(side, GUILD, "side", ChannelKind::Text))),
        post(20),
        post(21),
        Write::CreateMessage(Box::new(elsewhere)),
        Write::PutInvite(Box::new(invite("talk"))),
        Write::PutInvite(Box::new(into_side)),
    ];
    commit(&mut *store, writes);
    commit(&mut *store, vec![Write::DeleteChannel(GUILD, CHANNEL)]);
    // Before and after the sweep.
    for _ in 0..2 {
        assert_eq!(ask!(store, Query::Message(CHANNEL, MessageId::new(20)) => Message), None);
        let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 };
        assert_eq!(ask!(store, page => Messages), []);
        assert_eq!(ask!(store, Query::GuildOfChannel(CHANNEL) => GuildOf), None);
        assert_eq!(ask!(store, Query::Invite("talk".into()) => Invite), None);
        assert_eq!(ask!(store, Query::Guild(GUILD) => Guild).unwrap().channels.len(), 1);
        assert!(ask!(store, Query::Message(side, MessageId::new(30)) => Message).is_some());
        assert!(ask!(store, Query::Invite("side".into()) => Invite).is_some());
        for late in
            [post(22), Write::DeleteMessage(CHANNEL, MessageId::new(21)), Write::EditMessage(Box::new(message(20)))]
        {
            assert_eq!(try_commit(&mut *store, vec![late]), GONE);
        }
        assert_eq!(sweep_all(&mut *store), 1);
    }
    // What is not there can be deleted again.
    commit(&mut *store, vec![Write::DeleteChannel(GUILD, CHANNEL)]);

    commit(&mut *store, vec![Write::DeleteGuild(GUILD)]);
    for _ in 0..2 {
        let (ann, none) = (UserId::new(ANN), Vec::<Member>::new());
        assert_eq!(ask!(store, Query::Guild(GUILD) => Guild), None);
        assert_eq!(ask!(store, Query::Member(GUILD, ann) => Member), None);
        assert_eq!(ask!(store, Query::Members { guild: GUILD, after: UserId::new(0), limit: 9 } => Members), none);
        assert_eq!(ask!(store, Query::MembersAmong(GUILD, vec![ann]) => Members), none);
        let by_prefix = Query::MembersByPrefix { guild: GUILD, prefix: "a".into(), limit: 9 };
        assert_eq!(ask!(store, by_prefix => Members), none);
        assert_eq!(ask!(store, Query::MembersListed { guild: GUILD, after: UserId::new(0) } => Listed), None);
        assert_eq!(ask!(store, Query::AccountWithGuilds(ann) => AccountWithGuilds).unwrap().1, [OTHER]);
        let guilds = ask!(store, Query::GuildsOf { user: ann, after: GuildId::new(0), limit: 9 } => Guilds);
        assert_eq!(guilds.iter().map(|guild| guild.id).collect::<Vec<_>>(), [OTHER]);
        assert_eq!(ask!(store, Query::GuildOfChannel(side) => GuildOf), None);
        assert_eq!(ask!(store, Query::Message(side, MessageId::new(30)) => Message), None);
        assert_eq!(ask!(store, Query::Invite("side".into()) => Invite), None);
        assert_eq!(ask!(store, Query::Invites(GUILD) => Invites), []);
        assert_eq!(try_commit(&mut *store, vec![put(GUILD, member(ANN, "Ann"))]), GONE);
        commit(&mut *store, vec![Write::RemoveMember(GUILD, ann)]);
        assert_eq!(count(&mut *store, OTHER), 2);
        assert_eq!(sweep_all(&mut *store), 1);
    }
    commit(&mut *store, vec![Write::DeleteGuild(GUILD), Write::DeleteChannel(GUILD, side)]);
}

pub(super) fn ids_and_codes_of_a_deleted_guild_can_be_used_again_at_once(open: Open) {
    let mut store = world(open);
    let again = vec![
        Write::DeleteGuild(GUILD),
        Write::PutGuild(Box::new(GuildSettings::new(GUILD, "again".into(), UserId::new(BOB)))),
        Write::PutChannel(Box::new(channel(CHANNEL, GUILD, "talk", ChannelKind::Text))),
        put(GUILD, member(BOB, "bob")),
        Write::PutInvite(Box::new(invite("code"))),
        post(5),
    ];
    commit(&mut *store, vec![post(4), post(5), Write::PutInvite(Box::new(invite("code")))]);
    commit(&mut *store, again);
    for _ in 0..2 {
        assert_eq!(count(&mut *store, GUILD), 1);
        assert_eq!(ask!(store, Query::Member(GUILD, UserId::new(ANN)) => Member), None);
        let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 };
        assert_eq!(ids(&ask!(store, page => Messages)), [5]);
        sweep_all(&mut *store);
    }
}

pub(super) fn sweeps_go_on_after_a_restart(open: Open) {
    let scratch = Scratch::new();
    let path = scratch.join("db");
    let mut store = open(Some(&path));
    commit(&mut *store, small_world());
    let messages = 2 * u64::from(limits::STORE_SWEEP_ROWS) + 1;
    commit(&mut *store, (1..=messages).map(post).collect());
    commit(&mut *store, vec![Write::DeleteGuild(GUILD)]);
    assert!(store.sweep().unwrap(), "one slice is not enough");
    drop(store);
    let mut store = open(Some(&path));
    assert_eq!(ask!(store, Query::Message(CHANNEL, MessageId::new(messages)) => Message), None);
    assert_eq!(sweep_all(&mut *store), 2);
    assert_eq!(sweep_all(&mut *store), 1, "there is nothing left");
    assert_eq!(count(&mut *store, OTHER), 2);
}

pub(super) fn the_count_of_members_changes_only_with_rows(open: Open) {
    let mut store = world(open);
    for _ in 0..3 {
        commit(&mut *store, vec![put(GUILD, member(ANN, "Ann")), put(GUILD, member(ROBOT, "Robot"))]);
        assert_eq!(count(&mut *store, GUILD), 3);
    }
    for _ in 0..3 {
        commit(&mut *store, vec![Write::RemoveMember(GUILD, UserId::new(BOB))]);
        assert_eq!(count(&mut *store, GUILD), 2);
    }
    commit(
        &mut *store,
        vec![
            Write::RemoveMember(GUILD, UserId::new(ANN)),
            put(GUILD, member(ANN, "Ann")),
            put(GUILD, member(ANN, "Ann")),
        ],
    );
    assert_eq!(count(&mut *store, GUILD), 2);
    // Rolled back: not counted.
    assert_eq!(try_commit(&mut *store, vec![put(GUILD, member(BOB, "bob")), put(GUILD, member(99, "x"))]), GONE);
    assert_eq!(count(&mut *store, GUILD), 2);
    assert_eq!(try_commit(&mut *store, vec![put(GuildId::new(5), member(ANN, "Ann"))]), GONE);
    // A new text of the guild keeps the count.
    commit(&mut *store, vec![Write::PutGuild(Box::new(GuildSettings::new(GUILD, "again".into(), UserId::new(ANN))))]);
    assert_eq!(count(&mut *store, GUILD), 2);
    assert_eq!(count(&mut *store, OTHER), 2);
}

pub(super) fn members_come_back_whole_without_roles_that_are_gone(open: Open) {
    let mut store = world(open);
    let (kept, gone) = (RoleId::new(1_010), RoleId::new(1_011));
    let mut ann = member(ANN, "Ann");
    ann.nick = Some("Änne".into());
    ann.roles = [kept, gone].into_iter().collect();
    (ann.deaf, ann.timeout_until_ms, ann.joined_at_ms) = (true, 1_800_000_000_000, 1_750_000_000_000);
    let mut commits = vec![put(GUILD, ann.clone())];
    for role in [kept, gone] {
        commits.push(Write::PutRole(GUILD, Box::new(Role { id: role, ..Role::everyone(GUILD) })));
    }
    commit(&mut *store, commits);
    let query = Query::Member(GUILD, UserId::new(ANN));
    assert_eq!(ask!(store, query => Member), Some(Box::new(ann.clone())));

    commit(&mut *store, vec![Write::DeleteRole(GUILD, gone)]);
    ann.roles = [kept].into_iter().collect();
    assert_eq!(ask!(store, query => Member), Some(Box::new(ann.clone())));
    let page = Query::Members { guild: GUILD, after: UserId::new(0), limit: 1_000 };
    assert_eq!(ask!(store, page => Members), [ann.clone(), member(BOB, "bob")]);
    let page = Query::Members { guild: GUILD, after: UserId::new(ANN), limit: 1_000 };
    assert_eq!(users(&ask!(store, page => Members)), [BOB]);
    let page = Query::Members { guild: GUILD, after: UserId::new(0), limit: 1 };
    assert_eq!(ask!(store, page => Members), std::slice::from_ref(&ann));
    let among = [99, BOB, ANN, BOB, ROBOT].map(UserId::new).to_vec();
    assert_eq!(users(&ask!(store, Query::MembersAmong(GUILD, among) => Members)), [ANN, BOB]);
    assert_eq!(ask!(store, Query::Member(GUILD, UserId::new(ROBOT)) => Member), None);
}

pub(super) fn the_guilds_of_a_user_are_listed_by_id(open: Open) {
    let mut store = world(open);
    let (account, guilds) = *ask!(store, Query::AccountWithGuilds(UserId::new(ANN)) => AccountWithGuilds).unwrap();
    assert_eq!(account.user.username, "Ann");
    assert_eq!(guilds, [GUILD, OTHER]);
    let page = |after, limit| Query::GuildsOf { user: UserId::new(ANN), after, limit };
    let names = |guilds: Vec<GuildSettings>| guilds.into_iter().map(|guild| guild.name).collect::<Vec<_>>();
    assert_eq!(names(ask!(store, page(GuildId::new(0), 200) => Guilds)), ["first", "second"]);
    assert_eq!(names(ask!(store, page(GuildId::new(0), 1) => Guilds)), ["first"]);
    assert_eq!(names(ask!(store, page(GUILD, 200) => Guilds)), ["second"]);
    assert_eq!(ask!(store, page(GuildId::new(u64::MAX), 200) => Guilds), []);
    let robot = ask!(store, Query::AccountWithGuilds(UserId::new(ROBOT)) => AccountWithGuilds).unwrap();
    assert_eq!(robot.1, []);
    assert_eq!(ask!(store, Query::AccountWithGuilds(UserId::new(99)) => AccountWithGuilds), None);
}

pub(super) fn messages_are_found_before_after_and_around(open: Open) {
    let mut store = world(open);
    commit(&mut *store, (1..=9).map(|n| post(n * 10)).collect());
    let side = ChannelId::new(8);
    let other = Message { channel_id: side, ..message(55) };
    let put_side = Write::PutChannel(Box::new(channel(side, GUILD, "side", ChannelKind::Text)));
    commit(&mut *store, vec![put_side, Write::CreateMessage(Box::new(other))]);
    let mut page = |anchor, limit| ids(&ask!(store, Query::Messages { channel: CHANNEL, anchor, limit } => Messages));
    let at = MessageId::new;
    assert_eq!(page(Anchor::Newest, 3), [90, 80, 70]);
    assert_eq!(page(Anchor::Newest, 100).len(), 9);
    assert_eq!(page(Anchor::Before(at(50)), 2), [40, 30]);
    assert_eq!(page(Anchor::Before(at(55)), 2), [50, 40]);
    assert_eq!(page(Anchor::Before(at(10)), 5), [] as [u64; 0]);
    assert_eq!(page(Anchor::Before(at(0)), 5), [] as [u64; 0]);
    assert_eq!(page(Anchor::Before(at(u64::MAX)), 1), [90]);
    assert_eq!(page(Anchor::After(at(50)), 2), [70, 60]);
    assert_eq!(page(Anchor::After(at(0)), 2), [20, 10]);
    assert_eq!(page(Anchor::After(at(u64::MAX)), 2), [] as [u64; 0]);
    assert_eq!(page(Anchor::Around(at(50)), 5), [70, 60, 50, 40, 30]);
    assert_eq!(page(Anchor::Around(at(50)), 4), [70, 60, 50, 40]);
    assert_eq!(page(Anchor::Around(at(50)), 1), [50]);
    assert_eq!(page(Anchor::Around(at(55)), 4), [70, 60, 50, 40]);
    assert_eq!(page(Anchor::Around(at(90)), 4), [90, 80]);
}

pub(super) fn messages_come_back_whole_are_edited_and_go(open: Open) {
    let mut store = world(open);
    let mut full = message(100);
    full.content = "text \0 with nul, \u{1f980}".into();
    full.edited_at_ms = Some(1_700_000_000_001);
    full.extra = Extra {
        kind: 19,
        flags: 4,
        tts: true,
        mention_everyone: true,
        mentions: vec![account(BOB, "bob", false).user],
        mention_roles: vec![RoleId::new(6)],
        embeds: vec![json!({"title": "x"})],
        components: vec![json!({"type": 1})],
        pinned: true,
        replies_to: Some(MessageId::new(99)),
    };
    commit(&mut *store, vec![Write::CreateMessage(Box::new(full.clone())), post(101)]);
    let query = Query::Message(CHANNEL, MessageId::new(100));
    assert_eq!(ask!(store, query => Message), Some(Box::new(full)));
    let plain = Query::Message(CHANNEL, MessageId::new(101));
    assert_eq!(ask!(store, plain => Message), Some(Box::new(message(101))));

    let edited = Message { content: "new".into(), edited_at_ms: Some(7), ..message(100) };
    commit(&mut *store, vec![Write::EditMessage(Box::new(edited.clone()))]);
    assert_eq!(ask!(store, query => Message), Some(Box::new(edited.clone())));
    commit(&mut *store, vec![Write::DeleteMessage(CHANNEL, MessageId::new(100))]);
    assert_eq!(ask!(store, query => Message), None);
    assert_eq!(try_commit(&mut *store, vec![Write::DeleteMessage(CHANNEL, MessageId::new(100))]), GONE);
    assert_eq!(try_commit(&mut *store, vec![Write::DeleteMessage(CHANNEL, MessageId::new(u64::MAX))]), GONE);
    assert_eq!(try_commit(&mut *store, vec![Write::EditMessage(Box::new(edited))]), GONE);
}

pub(super) fn invites_are_used_up_end_and_go(open: Open) {
    let mut store = world(open);
    let limited = Invite { max_uses: 2, ..invite("limited") };
    let short = Invite { max_age: 60, temporary: true, ..invite("short") };
    let write = |invite: &Invite| Write::PutInvite(Box::new(invite.clone()));
    commit(&mut *store, vec![write(&limited), write(&short), write(&invite("free"))]);
    let attempt = |store: &mut dyn Backend, code: &str, unix_ms| {
        try_commit(store, vec![Write::UseInvite { code: code.into(), unix_ms }])
    };
    assert_eq!(attempt(&mut *store, "limited", u64::MAX), Ok(()));
    assert_eq!(attempt(&mut *store, "limited", 1), Ok(()));
    assert_eq!(attempt(&mut *store, "limited", 1), GONE);
    assert_eq!(attempt(&mut *store, "short", 69_999), Ok(()));
    assert_eq!(attempt(&mut *store, "short", 70_000), GONE);
    assert_eq!(attempt(&mut *store, "none", 0), GONE);
    for _ in 0..10 {
        assert_eq!(attempt(&mut *store, "free", u64::MAX), Ok(()));
    }
    // The store and the model agree on what is spent.
    let found = ask!(store, Query::Invite("short".into()) => Invite).unwrap();
    assert_eq!(*found, Invite { uses: 1, ..short });
    assert!(!found.is_spent(69_999) && found.is_spent(70_000));
    assert!(ask!(store, Query::Invite("limited".into()) => Invite).unwrap().is_spent(0));

    let codes = |invites: Vec<Invite>| invites.into_iter().map(|invite| invite.code).collect::<Vec<_>>();
    assert_eq!(codes(ask!(store, Query::Invites(GUILD) => Invites)), ["free", "limited", "short"]);
    assert_eq!(ask!(store, Query::Invites(OTHER) => Invites), []);
    commit(&mut *store, vec![Write::DeleteInvite("free".into()), Write::DeleteInvite("never".into())]);
    assert_eq!(ask!(store, Query::Invite("free".into()) => Invite), None);
    assert_eq!(attempt(&mut *store, "free", 0), GONE);
}

pub(super) fn a_conflict_undoes_its_own_commit_and_no_other(open: Open) {
    let mut store = world(open);
    let commits = [
        vec![post(1)],
        vec![post(2), put(GUILD, member(ROBOT, "Robot")), Write::DeleteMessage(CHANNEL, MessageId::new(999))],
        vec![post(3)],
        vec![post(4), create(account(60, "ann", false))],
        // An id twice is a bug's work; it fails alone as well.
        vec![post(5), post(3)],
        vec![],
        vec![post(6), Write::DeleteMessage(CHANNEL, MessageId::new(1))],
    ];
    let results = store.commit(&commits.map(of_guild));
    assert!(matches!(results[4], Err(StoreError::Failed(_))));
    let rest: Vec<_> = [0, 1, 2, 3, 5, 6].map(|n| results[n].clone()).to_vec();
    assert_eq!(rest, [Ok(()), GONE, Ok(()), TAKEN, Ok(()), Ok(())]);
    let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 };
    assert_eq!(ids(&ask!(store, page => Messages)), [6, 3]);
    assert_eq!(count(&mut *store, GUILD), 2);
    assert_eq!(store.commit(&[]), []);
}

pub(super) fn names_are_found_by_their_start(open: Open) {
    let mut store = world(open);
    let mut writes = vec![Write::RemoveMember(GUILD, UserId::new(BOB))];
    for (id, name, nick) in [
        (10, "Anton", None),
        (11, "zoe", Some("ANgel")),
        (12, "andre", Some("and again")),
        (13, "ΣΑΣΑ", None),
        (14, "a%_", None),
    ] {
        writes.push(create(account(id, name, false)));
        writes.push(put(GUILD, Member { nick: nick.map(str::to_owned), ..member(id, name) }));
    }
    writes.push(create(account(15, "anton2", false)));
    writes.push(put(OTHER, member(15, "anton2")));
    commit(&mut *store, writes);
    let mut search = |prefix: &str, limit| {
        let query = Query::MembersByPrefix { guild: GUILD, prefix: prefix.into(), limit };
        users(&ask!(store, query => Members))
    };
    assert_eq!(search("an", 100), [ANN, 10, 11, 12]);
    assert_eq!(search("AN", 2), [ANN, 12], "the first by name");
    assert_eq!(search("anton", 100), [10]);
    assert_eq!(search("zoe", 100), [11]);
    assert_eq!(search("ΣΑΣ", 100), [13]);
    assert_eq!(search("a%", 100), [14]);
    assert_eq!(search("a_", 100), [] as [u64; 0]);
    assert_eq!(search("bob", 100), [] as [u64; 0], "has left");
    assert_eq!(search("", 100), [ANN, 10, 11, 12, 13, 14]);
}

pub(super) fn pins_are_listed_newest_first_and_go_with_their_messages(open: Open) {
    let mut store = world(open);
    let pin = |id: u64| Pin { channel_id: CHANNEL, message_id: MessageId::new(id), pinned_at_ms: 1_000 - id };
    commit(&mut *store, (1..=4).map(post).collect());
    commit(&mut *store, (1..=4).map(|id| Write::Pin(pin(id))).collect());
    let page = |store: &mut dyn Backend, before_ms, limit| {
        let page = ask!(store, Query::Pins { channel: CHANNEL, before_ms, limit } => Pins);
        let items: Vec<(u64, u64)> = page.items.iter().map(|(at, message)| (message.id.get(), *at)).collect();
        (items, page.has_more)
    };
    assert_eq!(page(&mut *store, None, 3), (vec![(1, 999), (2, 998), (3, 997)], true));
    assert_eq!(page(&mut *store, Some(997), 3), (vec![(4, 996)], false));
    let loaded = |store: &mut dyn Backend| {
        let record = ask!(store, Query::Guild(GUILD) => Guild).unwrap();
        (record.pins, record.channels[0].last_pin_ms)
    };
    assert_eq!(loaded(&mut *store), (vec![pin(4), pin(3), pin(2), pin(1)], Some(999)));
    assert!(matches!(try_commit(&mut *store, vec![Write::Pin(pin(1))]), Err(StoreError::Failed(_))), "pinned twice");
    commit(&mut *store, vec![Write::DeleteMessage(CHANNEL, MessageId::new(1))]);
    commit(&mut *store, vec![Write::Unpin(CHANNEL, MessageId::new(3))]);
    assert_eq!(try_commit(&mut *store, vec![Write::Unpin(CHANNEL, MessageId::new(3))]), GONE);
    assert_eq!(loaded(&mut *store), (vec![pin(4), pin(2)], Some(998)));
    commit(&mut *store, vec![Write::DeleteChannel(GUILD, CHANNEL)]);
    assert_eq!(page(&mut *store, None, 3), (vec![], false));
    assert_eq!(try_commit(&mut *store, vec![Write::Pin(pin(4))]), GONE);
    let again = channel(CHANNEL, GUILD, "again", ChannelKind::Text);
    commit(&mut *store, vec![Write::PutChannel(Box::new(again))]);
    assert_eq!(loaded(&mut *store), (vec![], None));
}

pub(super) fn notes_are_set_deleted_and_bounded(open: Open) {
    let mut store = world(open);
    let note = |author: u64, about: u64, text: &str| UserNote {
        author: UserId::new(author),
        about: UserId::new(about),
        text: text.into(),
    };
    let set = |store: &mut dyn Backend, author, about, text: &str| {
        try_commit(store, vec![Write::SetNote(note(author, about, text))])
    };
    let notes = |store: &mut dyn Backend, author: u64, about: Option<u64>| ask!(store, Query::Notes { author: UserId::new(author), about: about.map(UserId::new) } => Notes);
    assert_eq!(set(&mut *store, ANN, ROBOT, "beeps"), Ok(()));
    assert_eq!(set(&mut *store, ANN, BOB, "old"), Ok(()));
    assert_eq!(set(&mut *store, ANN, BOB, "new"), Ok(()));
    assert_eq!(set(&mut *store, ANN, 999, "who?"), GONE);
    let mut both = [note(ANN, BOB, "new"), note(ANN, ROBOT, "beeps")];
    both.sort_by_key(|note| note.about);
    assert_eq!(notes(&mut *store, ANN, None), both);
    assert_eq!(notes(&mut *store, ANN, Some(BOB)), [note(ANN, BOB, "new")]);
    assert_eq!(notes(&mut *store, BOB, None), [], "notes are their author's alone");
    assert_eq!(set(&mut *store, ANN, BOB, ""), Ok(()));
    assert_eq!(set(&mut *store, ANN, BOB, ""), Ok(()), "there is none already");
    assert_eq!(notes(&mut *store, ANN, Some(BOB)), []);
    let others: Vec<u64> = (10_000..10_000 + limits::USER_NOTES_MAX).collect();
    commit(&mut *store, others.iter().map(|id| create(account(*id, &format!("other{id}"), false))).collect());
    commit(&mut *store, others[1..].iter().map(|id| Write::SetNote(note(ANN, *id, "x"))).collect());
    let full = Err(StoreError::Conflict(Conflict::Full));
    assert_eq!(set(&mut *store, ANN, others[0], "one too many"), full);
    assert_eq!(set(&mut *store, ANN, ROBOT, "a known one changes"), Ok(()));
    assert_eq!(set(&mut *store, ANN, ROBOT, ""), Ok(()));
    assert_eq!(set(&mut *store, ANN, others[0], "now there is room"), Ok(()));
}

pub(super) fn load_members_are_added_twice_with_names_of_their_own(open: Open) {
    let mut store = world(open);
    commit(&mut *store, vec![create(account(70, "Load-000003", false))]);
    let mut mint = Mint::outside();
    let now = 1_700_000_000_000;
    let mut fill = |store: &mut dyn Backend, guild, count| fill_members(store, guild, count, now, || mint.mint(now, 5));
    let first = fill(&mut *store, GUILD, 25_000).unwrap();
    assert_eq!(first.len(), 25_000);
    assert_eq!(count(&mut *store, GUILD), 25_002);
    let second = fill(&mut *store, OTHER, 10).unwrap();
    assert_eq!(count(&mut *store, OTHER), 12);
    let names: HashSet<String> = ask!(store, Query::Users([first.clone(), second.clone()].concat()) => Users)
        .into_iter()
        .map(|user| user.username)
        .collect();
    assert_eq!(names.len(), 25_010);
    assert!(names.contains("load-000002") && !names.contains("load-000003") && names.contains("load-025011"));
    let joined = ask!(store, Query::Member(OTHER, second[9]) => Member).unwrap();
    assert_eq!(*joined, Member::new(joined.user.clone(), now));
    assert_eq!(fill(&mut *store, GuildId::new(9), 1), Err(StoreError::Conflict(Conflict::Gone)));
    assert_eq!(fill(&mut *store, GUILD, 0), Ok(Vec::new()));

    // More users than one walk takes have the prefix; the hits come from the guild's own members.
    let mut search = |guild, prefix: &str, limit| {
        let query = Query::MembersByPrefix { guild, prefix: prefix.into(), limit };
        ask!(store, query => Members).iter().map(|member| member.user.id).collect::<Vec<_>>()
    };
    assert_eq!(search(OTHER, "load", 1_000), second);
    assert_eq!(search(GUILD, "LOAD-0", 100), first[..100]);
    // A rare start is answered exactly, wherever it lies: 25000 and 25001 here, 25002 to 25009 there.
    assert_eq!(search(GUILD, "load-02500", 100), first[24_998..]);
    assert_eq!(search(OTHER, "load-02500", 100), second[..8]);
}

pub(super) fn commits_and_the_secret_are_there_after_reopening(open: Open) {
    let scratch = Scratch::new();
    let path = scratch.join("db");
    let mut store = open(Some(&path));
    commit(&mut *store, small_world());
    let secret = store.secret().unwrap();
    assert_eq!(store.secret().unwrap(), secret);
    assert_ne!(secret, [0; 32]);
    store.finish().unwrap();
    drop(store);
    let mut store = open(Some(&path));
    assert_eq!(count(&mut *store, GUILD), 2);
    assert_eq!(store.secret().unwrap(), secret);
    assert_ne!(open(None).secret().unwrap(), secret);
}

pub(super) fn readers_see_commits_and_change_nothing(open: Open) {
    let scratch = Scratch::new();
    let mut store = open(Some(&scratch.join("db")));
    let mut reader = store.reader().unwrap();
    assert_eq!(ask!(reader, Query::Guild(GUILD) => Guild), None);
    commit(&mut *store, small_world());
    assert_eq!(count(&mut *reader, GUILD), 2);
    assert!(matches!(try_commit(&mut *reader, vec![post(1)]), Err(StoreError::Failed(_))));
    store.finish().unwrap();
}

// ── many rows ──

const MODS: RoleId = RoleId::new(1_010);

fn user_ids(range: std::ops::Range<u64>) -> Vec<UserId> {
    range.map(UserId::new).collect()
}

fn bulk_world(open: Open) -> Box<dyn Backend> {
    let mut store = open(None);
    let guild = GuildSettings::new(GUILD, "guild".into(), UserId::new(1));
    let mut bulk = store.bulk();
    bulk.create_users("Ann", 0, &user_ids(1..4)).unwrap();
    let role = Role { id: MODS, ..Role::everyone(GUILD) };
    bulk.apply(&[Write::PutGuild(Box::new(guild)), Write::PutRole(GUILD, Box::new(role))]).unwrap();
    bulk.add_members(GUILD, &user_ids(1..2), &[MODS], 5).unwrap();
    assert_eq!(bulk.rows(), 6);
    bulk.commit().unwrap();
    drop(bulk);
    store
}

fn bulk_members(bulk: &mut dyn Bulk) -> (u64, Vec<(u64, String, usize)>) {
    let Found::Guild(Some(record)) = bulk.read(&Query::Guild(GUILD)).unwrap() else { panic!("the guild is there") };
    let page = Query::Members { guild: GUILD, after: UserId::new(0), limit: 1_000 };
    let Found::Members(members) = bulk.read(&page).unwrap() else { panic!("members were asked for") };
    let short = members.into_iter().map(|member| (member.user.id.get(), member.user.username, member.roles.len()));
    (record.member_count, short.collect())
}

pub(super) fn bulk_users_and_members_are_there_with_names_and_roles(open: Open) {
    let mut store = bulk_world(open);
    let mut bulk = store.bulk();
    assert_eq!(bulk_members(&mut *bulk), (1, vec![(1, "Ann-000000".into(), 1)]));
    bulk.create_users("aNN", 0, &user_ids(4..5)).unwrap();
    bulk.add_members(GUILD, &user_ids(4..5), &[], 5).unwrap();
    let both = vec![(1, "Ann-000000".into(), 1), (4, "aNN-000003".into(), 0)];
    assert_eq!(bulk_members(&mut *bulk), (2, both));
}

pub(super) fn bulk_undoes_what_was_not_committed(open: Open) {
    let mut store = bulk_world(open);
    let mut bulk = store.bulk();
    bulk.create_users("bob", 0, &user_ids(10..20)).unwrap();
    bulk.add_members(GUILD, &user_ids(10..15), &[], 5).unwrap();
    bulk.commit().unwrap();
    bulk.add_members(GUILD, &user_ids(15..20), &[], 5).unwrap();
    assert_eq!(bulk_members(&mut *bulk).0, 11);
    drop(bulk);
    let (counted, rows) = bulk_members(&mut *store.bulk());
    assert_eq!((counted, rows.len()), (6, 6));
}

pub(super) fn bulk_refuses_a_member_twice_and_a_guild_that_is_not_there(open: Open) {
    let mut store = bulk_world(open);
    let twice = store.bulk().add_members(GUILD, &user_ids(1..3), &[], 5);
    assert!(matches!(twice, Err(StoreError::Failed(_))), "{twice:?}");
    let gone = store.bulk().add_members(GuildId::new(7), &user_ids(2..3), &[], 5);
    assert_eq!(gone, Err(StoreError::Conflict(Conflict::Gone)));
    assert_eq!(bulk_members(&mut *store.bulk()).0, 1);
}

/// Makes a `#[test]` of each test above, for one way to open a database.
macro_rules! instantiate {
    ($open:expr) => {
        $crate::store::suite::instantiate!($open;
            accounts_come_back_and_names_are_taken_without_regard_to_case
            revocations_are_listed_and_only_move_forward
            a_guild_is_loaded_with_channels_roles_and_newest_messages
            deleting_takes_along_what_is_inside_and_nothing_else
            ids_and_codes_of_a_deleted_guild_can_be_used_again_at_once
            sweeps_go_on_after_a_restart
            the_count_of_members_changes_only_with_rows
            members_come_back_whole_without_roles_that_are_gone
            the_guilds_of_a_user_are_listed_by_id
            messages_are_found_before_after_and_around
            messages_come_back_whole_are_edited_and_go
            pins_are_listed_newest_first_and_go_with_their_messages
            notes_are_set_deleted_and_bounded
            invites_are_used_up_end_and_go
            a_conflict_undoes_its_own_commit_and_no_other
            names_are_found_by_their_start
            load_members_are_added_twice_with_names_of_their_own
            commits_and_the_secret_are_there_after_reopening
            readers_see_commits_and_change_nothing
            bulk_users_and_members_are_there_with_names_and_roles
            bulk_undoes_what_was_not_committed
            bulk_refuses_a_member_twice_and_a_guild_that_is_not_there
        );
    };
    ($open:expr; $($name:ident)*) => {
        $(#[test] fn $name() { $crate::store::suite::$name($open); })*
    };
}
pub(super) use instantiate;

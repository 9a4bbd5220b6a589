//! Tests of whom a relay delivers events to, by their scope.
//!
//! Lives on: nothing; compiled for tests alone.

use bytes::Bytes;

use super::*;
use crate::base::id::Mint;
use crate::guild::Guild;
use crate::guild::founding::found;
use crate::mail::event::{Origin, Text};
use crate::mail::placement::VirtualShard;
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::model::user::User;
use crate::session::replay::Replay;
use crate::session::{Holds, Stage};
use crate::wire::model::presence::{Platform, Status};

const OWNER: UserId = UserId::new(5);
const MEMBER: UserId = UserId::new(6);
const OTHER: UserId = UserId::new(7);

fn relay() -> Relay {
    let owner = User { id: OWNER, username: "o".into(), global_name: None, avatar: None, bot: false };
    let (record, _) = found(VirtualShard::of(OWNER), owner, "g".to_owned(), 1_700_000_000_000, &mut Mint::inside());
    Relay::new(Guild::load(record).facts().clone())
}

fn seat(relay: &mut Relay, sessions: &mut Slab<Session>, user: UserId, intents: Intents) -> Key {
    let session = Session {
        id: SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret: user.get() },
        user,
        bot: true,
        status: Status::Online,
        platform: Platform::default(),
        intents,
        deltas: false,
        guild_sharding: None,
        large_threshold: 50,
        token_issued_ms: 0,
        stage: Stage::Ready,
        connection: None,
        disconnected_at: None,
        holds: Holds::empty(),
        replay: Replay::default(),
        sent_s: 1,
        unsent_bytes: 0,
        replay_until: 1,
        seats: SmallVec::new(),
        rare: None,
    };
    let key = sessions.insert(session);
    relay.seat(key, &[], Interest::empty(), None, sessions, &mut Effects::default());
    key
}

/// What each session is sent by an event: the users, and the bodies in their order.
fn sent(relay: &mut Relay, sessions: &mut Slab<Session>, event: &Event) -> Vec<(UserId, String)> {
    let mut after = Effects::default();
    let before: Vec<(Key, u64)> = sessions.iter().map(|(key, session)| (key, session.replay.next_s())).collect();
    assert!(relay.publish(event, sessions, &mut after), "the guild lives on");
    relay.invariants(sessions);
    let mut sent = Vec::new();
    for (key, first) in before {
        let session = sessions.get_mut(key).expect("it was there");
        session.take_from_journal(0).expect("nothing is lost");
        let user = session.user;
        let all = session.replay.each_from(first, |_, body, _| {
            sent.push((user, String::from_utf8(body.json().0.to_vec()).expect("JSON is UTF-8")));
            std::ops::ControlFlow::Continue(())
        });
        all.expect("nothing is lost");
    }
    sent
}

fn event(relay: &Relay, name: EventName, scope: Scope) -> Event {
    Event::new(Origin::Guild(relay.guild()), name, scope, Bytes::from_static(b"{}"))
}

#[test]
fn permitted_scope_reaches_audiences_with_the_permission_and_no_scope_reaches_none() {
    let (mut relay, mut sessions) = (relay(), Slab::default());
    for user in [OWNER, MEMBER] {
        seat(&mut relay, &mut sessions, user, Intents::all());
    }
    let channel = *relay.facts.channels.keys().next().expect("a new guild has channels");
    let reached = |relay: &mut Relay, sessions: &mut Slab<Session>, scope: Scope| {
        let event = event(relay, EventName::InviteCreate, scope);
        sent(relay, sessions, &event).into_iter().map(|(user, _)| user).collect::<Vec<UserId>>()
    };
    for channel in [None, Some(channel)] {
        let managers = Scope::Permitted { channel, permission: Permissions::MANAGE_CHANNELS };
        assert_eq!(reached(&mut relay, &mut sessions, managers), [OWNER]);
        let viewers = Scope::Permitted { channel, permission: Permissions::VIEW_CHANNEL };
        assert_eq!(reached(&mut relay, &mut sessions, viewers), [OWNER, MEMBER]);
    }
    let gone = Scope::Permitted { channel: Some(ChannelId::new(1)), permission: Permissions::VIEW_CHANNEL };
    assert_eq!(reached(&mut relay, &mut sessions, gone), [], "a channel that is gone permits nothing");
    assert_eq!(reached(&mut relay, &mut sessions, Scope::None), []);
}

#[test]
fn members_scope_reaches_these_users_as_far_as_their_intents_go() {
    let (mut relay, mut sessions) = (relay(), Slab::default());
    for user in [OWNER, MEMBER, OTHER] {
        seat(&mut relay, &mut sessions, user, Intents::GUILDS | Intents::GUILD_MESSAGES);
    }
    seat(&mut relay, &mut sessions, MEMBER, Intents::all());
    seat(&mut relay, &mut sessions, MEMBER, Intents::GUILDS);
    let scope = Scope::Members([MEMBER, OTHER].into());
    let plain = event(&relay, EventName::MessageCreate, scope.clone());
    let reached: Vec<UserId> = sent(&mut relay, &mut sessions, &plain).into_iter().map(|(user, _)| user).collect();
    assert_eq!(reached, [MEMBER, OTHER, MEMBER], "but not those without the intent");
    let text = Text { blank: Bytes::from_static(b"[]"), open_to: [OTHER].into_iter().collect(), mark: None };
    let event = event(&relay, EventName::MessageCreate, scope).with_text(text);
    let sent = sent(&mut relay, &mut sessions, &event);
    let bodies: Vec<(UserId, &str)> = sent.iter().map(|(user, body)| (*user, body.as_str())).collect();
    assert_eq!(bodies, [(MEMBER, "[]"), (OTHER, "{}"), (MEMBER, "{}")], "text only to those who may read it");
}

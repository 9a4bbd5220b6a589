//! twilight's gateway and HTTP clients, at their published versions; uncompressed, and with this package's feature
//! `zstd` over `zstd-stream`.
//!
//! Source: <https://docs.rs/twilight-gateway>, <https://docs.rs/twilight-http>.

use std::time::Duration;

use guildhall_conformance::proxy::Proxy;
use guildhall_conformance::town::Town;
use serde_json::json;
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};
use twilight_http::Client;
use twilight_http::request::channel::reaction::RequestReactionType;
use twilight_model::channel::ChannelType;
use twilight_model::guild::Permissions;
use twilight_model::id::Id;

/// Messages written while the client is cut off.
const MISSED: usize = 40;

async fn next(shard: &mut Shard) -> Event {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), shard.next_event(EventTypeFlags::all()));
        match event.await.expect("an event comes in time") {
            Some(Ok(event)) => return event,
            // A cut connection shows as an error first; the shard reconnects by itself.
            Some(Err(_)) => {}
            None => panic!("the shard has ended: a close code told it not to come back"),
        }
    }
}

async fn live_through_a_day(cores: usize) {
    let town = Town::found();
    let server = town.serve(cores);
    let proxy = Proxy::before(server.address);
    let ann = town.ann(&server);
    let channel = Id::new(town.channel.parse().expect("a snowflake"));
    let guild = Id::new(town.guild.parse().expect("a snowflake"));

    let http = Client::builder()
        .proxy(server.address.to_string(), true)
        .ratelimiter(None)
        .token(format!("Bot {}", town.bot.1))
        .build();
    let me = http.current_user().await.expect("GET /users/@me").model().await.expect("a user");
    assert_eq!((me.id.to_string(), me.bot), (town.bot.0.clone(), true));

    let intents = Intents::GUILDS | Intents::GUILD_MESSAGES | Intents::GUILD_MEMBERS | Intents::MESSAGE_CONTENT;
    let config = ConfigBuilder::new(town.bot.1.clone(), intents).proxy_url(format!("ws://{}", proxy.address)).build();
    let mut shard = Shard::with_config(ShardId::ONE, config);

    // Log in, see the guild.
    loop {
        match next(&mut shard).await {
            Event::Ready(ready) => {
                assert_eq!(ready.user.id, me.id);
                assert_eq!(ready.guilds.len(), 1);
            }
            Event::GuildCreate(created) => {
                let twilight_model::gateway::payload::incoming::GuildCreate::Available(created) = *created else {
                    panic!("the guild is available");
                };
                assert_eq!(created.id, guild);
                assert!(created.channels.iter().any(|other| other.id == channel));
                assert!(created.members.iter().any(|member| member.user.id == me.id));
                break;
            }
            Event::GatewayHello(_) | Event::GatewayHeartbeatAck | Event::GatewayHeartbeat => {}
            other => panic!("before the guild came {other:?}"),
        }
    }

    // Receive what another writes; post, edit, delete.
    town.say(&ann, "from ann");
    let heard = message(&mut shard).await;
    assert_eq!((heard.0.as_str(), heard.1.as_str()), ("from ann", town.ann.0.as_str()));
    let posted = http.create_message(channel).content("from bob").await.expect("created").model().await.expect("one");
    assert_eq!(message(&mut shard).await.0, "from bob");
    http.update_message(channel, posted.id).content(Some("from bob, edited")).await.expect("edited");
    let Event::MessageUpdate(updated) = next(&mut shard).await else { panic!("an update was expected") };
    assert_eq!((updated.id, updated.content.as_str()), (posted.id, "from bob, edited"));
    let read = http.message(channel, posted.id).await.expect("GET").model().await.expect("a message");
    assert!(read.edited_timestamp.is_some() && read.content == "from bob, edited");
    http.delete_message(channel, posted.id).await.expect("deleted");
    let Event::MessageDelete(deleted) = next(&mut shard).await else { panic!("a deletion was expected") };
    assert_eq!((deleted.id, deleted.guild_id), (posted.id, Some(guild)));
    let gone = http.message(channel, posted.id).await.expect_err("it is gone");
    assert!(gone.to_string().contains("404"), "{gone}");

    // Be cut off and resume without loss.
    proxy.cut();
    for number in 0..MISSED {
        town.say(&ann, &format!("missed {number}"));
    }
    let mut resumed = false;
    let mut seen = Vec::new();
    while seen.len() < MISSED || !resumed {
        match next(&mut shard).await {
            Event::MessageCreate(message) => seen.push(message.content.clone()),
            Event::Resumed => resumed = true,
            Event::GatewayHello(_) | Event::GatewayHeartbeatAck | Event::GatewayHeartbeat | Event::GatewayClose(_) => {}
            other => panic!("while resuming came {other:?}"),
        }
    }
    assert_eq!(seen, (0..MISSED).map(|number| format!("missed {number}")).collect::<Vec<_>>());

    // The rest of the guild: roles, channels, overwrites, members, invites.
    let role = http.create_role(guild).name("crew").permissions(Permissions::empty()).await;
    let refused = role.expect_err("the bot may not manage roles").to_string();
    assert!(refused.contains("50013") || refused.contains("403"), "{refused}");
    let staff =
        ann.done("POST", &format!("/guilds/{guild}/roles"), Some(json!({ "name": "staff", "permissions": "8" })));
    let staff_id = staff["id"].as_str().expect("an id").to_owned();
    let Event::RoleCreate(created) = next(&mut shard).await else { panic!("a role was expected") };
    assert_eq!(created.role.id.to_string(), staff_id);
    ann.done("PUT", &format!("/guilds/{guild}/members/{}/roles/{staff_id}", town.bot.0), None);
    let Event::MemberUpdate(update) = next(&mut shard).await else { panic!("a member update was expected") };
    assert_eq!(update.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), staff_id);

    let made = http.create_guild_channel(guild, "plans").kind(ChannelType::GuildText).topic("what next");
    let made = made.await.expect("a channel").model().await.expect("one");
    assert_eq!((made.name.as_deref(), made.topic.as_deref()), (Some("plans"), Some("what next")));
    let Event::ChannelCreate(created) = next(&mut shard).await else { panic!("a channel was expected") };
    assert_eq!(created.id, made.id);
    let list = http.guild_channels(guild).await.expect("channels").models().await.expect("a list");
    assert!(list.iter().any(|other| other.id == made.id));
    let role = http.create_role(guild).name("crew").color(0x11_88_ff).await.expect("now it may").model().await;
    let role = role.expect("a role");
    assert_eq!((role.name.as_str(), role.colors.primary_color), ("crew", 0x11_88_ff));
    http.update_role(guild, role.id).name(Some("sailors")).await.expect("renamed");
    http.add_guild_member_role(guild, Id::new(town.ann.0.parse().expect("an id")), role.id).await.expect("given");
    let ann_member = http.guild_member(guild, Id::new(town.ann.0.parse().expect("an id"))).await;
    assert_eq!(ann_member.expect("a member").model().await.expect("one").roles, [role.id]);
    let members = http.guild_members(guild).limit(10).await.expect("members").models().await.expect("a list");
    assert_eq!(members.len(), 2);
    http.delete_role(guild, role.id).await.expect("deleted");
    let invite = http.create_invite(made.id).max_age(3_600).await.expect("an invite").model().await.expect("one");
    let seen = http.invite(&invite.code).with_counts().await.expect("public").model().await.expect("one");
    assert_eq!(seen.guild.map(|other| other.id), Some(guild));
    let history = http.channel_messages(channel).limit(100).await.expect("history").models().await.expect("a list");
    assert_eq!(history.len(), MISSED + 1);
    assert_eq!(history[0].content, format!("missed {}", MISSED - 1), "the newest comes first");
    http.create_typing_trigger(channel).await.expect("typing");
    http.delete_channel(made.id).await.expect("deleted");

    // What is not there yet says so in Discord's words, and the client goes on.
    let reaction = RequestReactionType::Unicode { name: "👍" };
    assert!(http.create_reaction(channel, history[0].id, &reaction).await.is_err());

    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Told to go and come back, not cut off: Reconnect, then a close that keeps the session.
    let mut told = false;
    while let Ok(Some(Ok(event))) =
        tokio::time::timeout(Duration::from_secs(5), shard.next_event(EventTypeFlags::all())).await
    {
        told |= matches!(event, Event::GatewayReconnect);
    }
    assert!(told, "a drain says Reconnect");
}

/// The next message: content and author.
async fn message(shard: &mut Shard) -> (String, String) {
    loop {
        match next(shard).await {
            Event::MessageCreate(message) => return (message.content.clone(), message.author.id.to_string()),
            Event::GatewayHeartbeatAck | Event::GatewayHeartbeat => {}
            other => panic!("a message was expected, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn twilight_lives_through_a_day_on_one_shard() {
    live_through_a_day(1).await;
}

#[tokio::test]
async fn twilight_lives_through_a_day_on_two_shards() {
    live_through_a_day(2).await;
}

#[tokio::test]
async fn twilight_lives_through_a_day_on_five_shards() {
    live_through_a_day(5).await;
}

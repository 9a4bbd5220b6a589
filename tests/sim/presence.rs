//! The judge of presences: what clients last said of themselves, added up here, against what others believe of them.
//!
//! It knows nothing of what the server holds: who is present is what live clients have said, who may know follows from
//! their intents, from whom they follow, and from how many members the guild had. At rest whoever may know believes
//! what is true; at no time does anybody hear of himself, of somebody who always hid, or of somebody whom he may not
//! know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::essence::id;
use crate::oracle::Oracle;
use crate::report::Report;

const GUILDS: u32 = 1;
const GUILD_PRESENCES: u32 = 1 << 8;
/// Members up to which people get everybody's presences, if the guild is not large besides.
const SMALL: u64 = 250;

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub status: &'static str,
    /// What it does, if anything.
    pub does: Option<String>,
    /// What it is there with.
    pub on: &'static str,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown { status: "online", does: None, on: "web" }
    }
}

/// What a session believes of others, and by what right.
#[derive(Debug, Default)]
pub struct Beliefs {
    of: BTreeMap<(u64, u64), String>,
    /// Whom it follows, by guild, and whom it ever did.
    pub follows: BTreeMap<u64, BTreeSet<u64>>,
    pub ever_followed: BTreeSet<(u64, u64)>,
    /// Of whom it was told, by guild.
    told: BTreeSet<(u64, u64)>,
    /// Of whom it was told that they are there.
    seen: BTreeSet<u64>,
}

/// Nobody there.
const OFFLINE: &str = "offline [] on []";

impl Beliefs {
    /// An event came, which is not one that came before.
    pub fn hear(&mut self, name: &str, d: &Value, (user, bot): (u64, bool), intents: u32, report: &mut Report) {
        match name {
            "GUILD_CREATE" => {
                let guild = id(&d["id"]).unwrap_or(0);
                self.of.retain(|(other, _), _| *other != guild);
                let members: BTreeSet<u64> = list(&d["members"]).filter_map(|it| id(&it["user"]["id"])).collect();
                for presence in list(&d["presences"]) {
                    let whose = self.take(guild, presence, user, intents);
                    assert!(members.contains(&whose), "judge presence: GUILD_CREATE has no member {whose}");
                    assert_ne!(self.of[&(guild, whose)], OFFLINE, "judge presence: who is offline is left out");
                }
            }
            "GUILD_DELETE" => {
                let guild = id(&d["id"]).unwrap_or(0);
                self.of.retain(|(other, _), _| *other != guild);
                self.follows.remove(&guild);
            }
            "PRESENCE_UPDATE" => {
                report.presences_told += 1;
                self.take(id(&d["guild_id"]).unwrap_or(0), d, user, intents);
            }
            "GUILD_MEMBERS_CHUNK" if d.get("presences").is_some() => {
                let guild = id(&d["guild_id"]).unwrap_or(0);
                let members: BTreeSet<u64> = list(&d["members"]).filter_map(|it| id(&it["user"]["id"])).collect();
                let present: BTreeSet<u64> = list(&d["presences"]).filter_map(|it| id(&it["user"]["id"])).collect();
                assert!(intents & GUILD_PRESENCES != 0, "judge presence: user {user} did not ask for presences");
                assert!(
                    present.is_subset(&members),
                    "judge presence: a chunk has presences of others than its members"
                );
                report.presences_asked += present.len() as u64;
                // People may ask for them, but are not kept up to date.
                for presence in list(&d["presences"]).filter(|it| bot && id(&it["user"]["id"]) != Some(user)) {
                    self.take(guild, presence, user, intents);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, guild: u64, presence: &Value, user: u64, intents: u32) -> u64 {
        let whose = id(&presence["user"]["id"]).expect("judge wire: a presence is somebody's");
        assert_ne!(whose, user, "judge presence: user {user} is told of its own");
        assert!(intents & GUILD_PRESENCES != 0, "judge presence: user {user} did not ask for presences");
        let line = line_of(presence);
        self.told.insert((guild, whose));
        if line != OFFLINE {
            self.seen.insert(whose);
        }
        self.of.insert((guild, whose), line);
        whose
    }
}

/// A client's session, for the judge.
pub struct Onlooker<'a> {
    pub secret: u64,
    pub user: u64,
    pub bot: bool,
    pub intents: u32,
    pub beliefs: &'a Beliefs,
    /// Alive, and at rest.
    pub complete: bool,
}

/// Judges what was told at any time.
pub fn judge_told(onlooker: &Onlooker<'_>, oracle: &Oracle, hidden: &BTreeSet<u64>) {
    let Onlooker { secret, user, bot, beliefs, .. } = onlooker;
    for (guild, whose) in &beliefs.told {
        let may = *bot || oracle.ever_small(*secret, *guild) || beliefs.ever_followed.contains(&(*guild, *whose));
        assert!(may, "judge presence: session {secret:016x} of user {user} may not know of {whose} in {guild}");
    }
    if let Some(whose) = beliefs.seen.iter().find(|whose| hidden.contains(whose)) {
        panic!("judge presence: session {secret:016x} of user {user} saw {whose}, who always hid");
    }
}

/// Judges what a session believes at rest. `present` has, by guild and user, what the user's sessions there have said.
pub fn judge_believed(
    onlooker: &Onlooker<'_>,
    oracle: &Oracle,
    present: &BTreeMap<(u64, u64), Vec<(u64, Shown)>>,
    report: &mut Report,
) {
    let Onlooker { secret, user, bot, intents, beliefs, complete } = onlooker;
    if !complete || intents & (GUILDS | GUILD_PRESENCES) != GUILDS | GUILD_PRESENCES {
        return;
    }
    for guild in oracle.seats_of(*secret) {
        let all = *bot || oracle.always_small(*secret, guild);
        let follows = beliefs.follows.get(&guild);
        for whose in oracle.guilds()[&guild].members.keys().filter(|whose| *whose != user) {
            let followed = follows.is_some_and(|follows| follows.contains(whose));
            if !all && !followed {
                continue;
            }
            let truth = added_up(present.get(&(guild, *whose)).map(Vec::as_slice).unwrap_or_default());
            let believed = beliefs.of.get(&(guild, *whose)).map_or(OFFLINE, String::as_str);
            assert_eq!(
                believed, truth,
                "judge presence: session {secret:016x} of user {user}, bot {bot}, followed {followed}, \
                 does not know what {whose} is in {guild}"
            );
            report.presences_right += u64::from(truth != OFFLINE);
            report.presences_followed += u64::from(!all && truth != OFFLINE);
        }
    }
}

/// Whether people get everybody's presences.
pub fn is_small(members: u64, passive_above: u64) -> bool {
    members <= SMALL && members <= passive_above
}

/// The line of a user with these sessions.
fn added_up(sessions: &[(u64, Shown)]) -> String {
    const ORDER: [&str; 3] = ["online", "dnd", "idle"];
    let rank = |said: &Shown| ORDER.iter().position(|status| *status == said.status);
    let mut seen: Vec<(usize, u64, &Shown)> =
        sessions.iter().filter_map(|(secret, said)| Some((rank(said)?, *secret, said))).collect();
    seen.sort_by_key(|(rank, secret, _)| (*rank, *secret));
    let status = seen.first().map_or("offline", |(_, _, said)| said.status);
    let does: Vec<&str> = seen.iter().filter_map(|(_, _, said)| said.does.as_deref()).collect();
    let mut on: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, _, said) in &seen {
        on.entry(said.on).or_insert(said.status);
    }
    line(status, &does, on)
}

fn line_of(presence: &Value) -> String {
    let text = |value: &Value| value.as_str().expect("judge wire: a string").to_owned();
    let does: Vec<String> = list(&presence["activities"]).map(|activity| text(&activity["name"])).collect();
    let does: Vec<&str> = does.iter().map(String::as_str).collect();
    let status = presence["client_status"].as_object().expect("judge wire: client_status");
    let on = status.iter().map(|(platform, status)| (platform.as_str(), status.as_str().unwrap_or("?"))).collect();
    line(&text(&presence["status"]), &does, on)
}

fn line(status: &str, does: &[&str], on: BTreeMap<&str, &str>) -> String {
    let on: Vec<String> = on.into_iter().map(|(platform, status)| format!("{platform}={status}")).collect();
    format!("{status} [{}] on [{}]", does.join(", "), on.join(", "))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

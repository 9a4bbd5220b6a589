//! What clients ask about members, and what must come of it: each question is answered once, in chunks that are
//! numbered from nought, with everybody who was a member all the time and nobody who never was; across slow reading,
//! cuts and resumes.

use std::collections::{BTreeMap, BTreeSet};

use guildhall::limits;
use serde_json::{Value, json};

use crate::client::payload;
use crate::essence;
use crate::report::Report;

/// Which members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Everybody,
    Named(String),
    Users(BTreeSet<u64>),
}

/// A question, and what was so when it was asked.
#[derive(Debug)]
pub struct Question {
    pub nonce: String,
    pub guild: u64,
    pub what: What,
    /// Members when it was asked.
    pub members: BTreeSet<u64>,
    /// Joins and departures before it.
    pub changes: usize,
    /// Nothing stands in the way of an answer.
    pub must: bool,
}

/// A chunk, as it came.
#[derive(Debug)]
struct Part {
    guild: u64,
    index: u64,
    count: u64,
    /// Users with their names and nicknames.
    members: Vec<(u64, String, String)>,
    missing: Vec<u64>,
}

/// What one session asked and was told.
#[derive(Debug, Default)]
pub struct Asking {
    pub questions: Vec<Question>,
    parts: BTreeMap<String, Vec<Part>>,
    refused: BTreeSet<String>,
}

/// What the world knows.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// Who joined or left which guild, or 0 for a guild that went, in order.
    pub changes: &'a [(u64, u64)],
    /// Usernames.
    pub names: &'a BTreeMap<u64, String>,
    pub user: u64,
    /// The session lives and everything has come to rest.
    pub complete: bool,
}

impl Question {
    /// The command.
    pub fn payload(&self, odd: bool) -> Vec<u8> {
        let guild = if odd { json!([self.guild.to_string()]) } else { json!(self.guild.to_string()) };
        let mut d = json!({ "guild_id": guild, "nonce": self.nonce, "presences": true });
        match &self.what {
            What::Everybody => {
                d["query"] = json!("");
                d["limit"] = json!(0);
            }
            What::Named(prefix) => {
                d["query"] = json!(prefix.to_uppercase());
                d["limit"] = json!(100);
            }
            What::Users(users) => {
                d["user_ids"] = users.iter().rev().map(|user| json!(user.to_string())).collect();
            }
        }
        payload(&json!({ "op": 8, "d": d }))
    }
}

impl Asking {
    /// An event came for the first time.
    pub fn hear(&mut self, name: &str, d: &Value) {
        let number = |value: &Value| essence::id(value).unwrap_or(0);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
        if name == "RATE_LIMITED" {
            assert_eq!(d["opcode"], 8, "judge members: only requests for members are limited");
            self.refused.insert(d["meta"]["nonce"].as_str().unwrap_or_default().to_owned());
        }
        if name != "GUILD_MEMBERS_CHUNK" {
            return;
        }
        let members = d["members"].as_array().into_iter().flatten();
        let part = Part {
            guild: number(&d["guild_id"]),
            index: d["chunk_index"].as_u64().expect("judge members: a chunk has a number"),
            count: d["chunk_count"].as_u64().expect("judge members: a chunk says how many there are"),
            members: members
                .map(|it| (number(&it["user"]["id"]), text(&it["user"]["username"]), text(&it["nick"])))
                .collect(),
            missing: d["not_found"].as_array().into_iter().flatten().map(number).collect(),
        };
        let nonce = d["nonce"].as_str().expect("judge members: the nonce comes back").to_owned();
        assert!(self.questions.iter().any(|it| it.nonce == nonce), "judge members: nobody asked {nonce}");
        self.parts.entry(nonce).or_default().push(part);
    }

    /// Judges what came.
    pub fn judge(&self, at: &Circumstances<'_>, report: &mut Report) {
        for (number, question) in self.questions.iter().enumerate() {
            let fail =
                |sentence: &str| panic!("judge members: {sentence}: {question:?}, got {:?}", self.shown(question));
            let parts = self.parts.get(&question.nonce).map(Vec::as_slice).unwrap_or_default();
            let refused = self.refused.contains(&question.nonce);
            let again = |it: &Question| it.guild == question.guild && it.what == What::Everybody;
            if refused {
                report.members_limited += 1;
                let may = question.what == What::Everybody && self.questions[..number].iter().any(again);
                if !may || !parts.is_empty() {
                    fail("it was refused for no reason");
                }
                continue;
            }
            let changed: BTreeSet<u64> = at.changes[question.changes..]
                .iter()
                .filter(|(guild, _)| *guild == question.guild)
                .map(|(_, user)| *user)
                .collect();
            let constant = |user: u64| !changed.contains(&user) && !changed.contains(&0);
            let finished = parts.last().is_some_and(|last| last.index + 1 == last.count);
            if at.complete && !finished && (question.must || !parts.is_empty()) && constant(at.user) {
                fail("it was not answered to the end");
            }
            for (place, part) in parts.iter().enumerate() {
                let last = place + 1 == parts.len();
                if part.guild != question.guild || part.index != place as u64 || (part.index + 1 == part.count && !last)
                {
                    fail("chunks are numbered, and end with the last");
                }
                if part.members.len() > limits::MEMBERS_CHUNK as usize {
                    fail("a chunk is too large");
                }
            }
            let members: Vec<&(u64, String, String)> = parts.iter().flat_map(|part| &part.members).collect();
            let got: BTreeSet<u64> = members.iter().map(|(user, ..)| *user).collect();
            if got.len() < members.len() {
                fail("a member came twice");
            }
            if let Some(user) = got.iter().find(|user| constant(**user) && !question.members.contains(user)) {
                fail(&format!("{user} was never a member"));
            }
            if !finished {
                continue;
            }
            report.members_answers += 1;
            report.members_in_chunks += u64::from(parts.len() > 1);
            report.members_listed += got.len() as u64;
            let wanted: Vec<u64> = match &question.what {
                What::Everybody => question.members.iter().copied().collect(),
                What::Named(prefix) => {
                    let named = |name: &str| name.starts_with(prefix.as_str());
                    if let Some(odd) = members.iter().find(|(_, name, nick)| !named(name) && !named(nick)) {
                        fail(&format!("{odd:?} has another name"));
                    }
                    let all = question.members.iter().filter(|user| named(&at.names[user])).copied();
                    // Of many it may be any hundred.
                    if got.len() < 100 { all.collect() } else { Vec::new() }
                }
                What::Users(users) => {
                    let missing: BTreeSet<u64> = parts.iter().flat_map(|part| &part.missing).copied().collect();
                    if !missing.is_disjoint(&got) || missing.union(&got).copied().collect::<BTreeSet<u64>>() != *users {
                        fail("who was asked for is found or not found");
                    }
                    users.intersection(&question.members).copied().collect()
                }
            };
            if let Some(user) = wanted.iter().find(|user| constant(**user) && !got.contains(user)) {
                fail(&format!("{user} was a member all the time"));
            }
        }
    }

    /// What came, for the message.
    fn shown(&self, question: &Question) -> Vec<String> {
        let parts = self.parts.get(&question.nonce).into_iter().flatten();
        parts
            .map(|part| format!("{}/{} with {} and {}", part.index, part.count, part.members.len(), part.missing.len()))
            .collect()
    }
}

//! The ledger: what was asked at the doors, how it was answered, and what must therefore be in the store.
//!
//! It knows nothing of commits: it believes the answers. Every message's text begins with a tag of its own, so that it
//! is found again whatever became of it.

use std::collections::{BTreeMap, BTreeSet};

use guildhall::base::id::{ChannelId, GuildId, UserId};
use guildhall::mail::ask::{Answer, Reply};
use guildhall::store::{Anchor, Found, Query};

use crate::model::{ChannelModel, GuildModel, MemberModel, RoleModel};
use crate::report::Report;
use crate::store::SimStore;

/// Message type: says that a message was pinned.
const PIN_NOTICE: u32 = 6;

/// What was asked, as far as the ledger follows it.
#[derive(Debug, Clone)]
pub enum Asked {
    Message {
        tag: u64,
    },
    Edit {
        tag: u64,
        content: String,
    },
    Delete {
        tags: Vec<u64>,
    },
    /// Only the answer matters.
    Other,
}

/// A message that was asked for.
#[derive(Debug)]
pub struct Fate {
    pub channel: u64,
    /// Known once it was acknowledged.
    pub id: Option<u64>,
    texts: Vec<Text>,
    refused: bool,
    gone: bool,
    /// Deletions that nobody has answered.
    going: u32,
}

/// A text that a message was asked to have, first by its author's creating it, then by edits.
#[derive(Debug)]
struct Text {
    content: String,
    /// When it was asked for, in the order of the ledger's entries.
    asked: u64,
    /// When it was acknowledged.
    granted: Option<u64>,
}

impl Fate {
    /// Whether the message may read so: somebody asked for it, and nobody asked for another text after that was
    /// acknowledged, and had that acknowledged too. Answers overtake each other on their ways to different doors.
    fn may_read(&self, content: &str) -> bool {
        self.texts.iter().filter(|text| text.content == content).any(|text| {
            let replaced = |other: &Text| other.granted.is_some() && text.granted.is_some_and(|at| other.asked > at);
            !self.texts.iter().any(replaced)
        })
    }
}

/// Everything asked so far.
#[derive(Debug, Default)]
pub struct Ledger {
    pub messages: BTreeMap<u64, Fate>,
    /// By core and ticket.
    pub waiting: BTreeMap<(usize, u64), Asked>,
    next_tag: u64,
    /// Counts entries.
    entries: u64,
    /// Requests answered with 500: each needs a failed commit.
    pub internal: u64,
}

impl Ledger {
    /// A new message's tag, which its text begins with.
    pub fn tag(&mut self, channel: u64, rest: &str) -> (u64, String) {
        self.next_tag += 1;
        let content = format!("t{} {rest}", self.next_tag);
        let text = Text { content: content.clone(), asked: self.entries, granted: None };
        let fate = Fate { channel, id: None, texts: vec![text], refused: false, gone: false, going: 0 };
        self.messages.insert(self.next_tag, fate);
        (self.next_tag, content)
    }

    /// Something was asked.
    pub fn ask(&mut self, core: usize, ticket: u64, asked: Asked) {
        self.entries += 1;
        match &asked {
            Asked::Edit { tag, content } => {
                if let Some(fate) = self.messages.get_mut(tag) {
                    fate.texts.push(Text { content: content.clone(), asked: self.entries, granted: None });
                }
            }
            Asked::Delete { tags } => {
                for tag in tags {
                    if let Some(fate) = self.messages.get_mut(tag) {
                        fate.going += 1;
                    }
                }
            }
            Asked::Message { .. } | Asked::Other => {}
        }
        self.waiting.insert((core, ticket), asked);
    }

    /// A door has its answer.
    pub fn answer(&mut self, core: usize, ticket: u64, answer: &Answer, report: &mut Report) {
        let Some(asked) = self.waiting.remove(&(core, ticket)) else {
            panic!("judge durability: ticket {ticket} of core {core} is answered, but nobody waits with it");
        };
        self.entries += 1;
        match answer {
            Ok(_) => report.asks_granted += 1,
            Err(refusal) => {
                report.asks_refused += 1;
                self.internal += u64::from(refusal.status == 500);
            }
        }
        match asked {
            Asked::Message { tag } => {
                let fate = self.messages.get_mut(&tag).expect("it was tagged");
                match answer {
                    Ok(Reply::Json(200, body)) => {
                        let body: serde_json::Value = serde_json::from_slice(body).expect("judge wire: JSON");
                        fate.id = crate::essence::id(&body["id"]);
                        let text = &mut fate.texts[0];
                        assert_eq!(body["content"], text.content.as_str(), "judge durability: the answer has the text");
                        text.granted = Some(self.entries);
                    }
                    Ok(other) => panic!("judge durability: a message is answered with {other:?}"),
                    Err(_) => fate.refused = true,
                }
            }
            Asked::Edit { tag, content } => {
                let fate = self.messages.get_mut(&tag).expect("it was tagged");
                match answer {
                    Ok(_) => {
                        for text in fate.texts.iter_mut().filter(|text| text.content == content) {
                            text.granted = Some(self.entries);
                        }
                    }
                    Err(_) => fate.texts.retain(|text| text.content != content),
                }
            }
            Asked::Delete { tags } => {
                for tag in tags {
                    let fate = self.messages.get_mut(&tag).expect("it was tagged");
                    fate.going -= 1;
                    fate.gone |= answer.is_ok();
                }
            }
            Asked::Other => {}
        }
    }

    /// The process has died: whoever waited will never know.
    pub fn crash(&mut self) {
        self.waiting.clear();
    }

    /// Judges the store: by the answers, and by what the oracle holds to be committed.
    pub fn judge(&self, guilds: &BTreeMap<u64, GuildModel>, store: &mut SimStore, report: &mut Report) {
        for (id, model) in guilds {
            judge_guild(*id, model, store, report);
        }
        let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for channel in guilds.values().flat_map(|guild| guild.channels.keys()) {
            for content in texts(*channel, store, report) {
                let tag = content.split(' ').next().and_then(|tag| tag.strip_prefix('t')?.parse().ok());
                let tag = tag.unwrap_or_else(|| panic!("judge durability: nobody wrote {content:?}"));
                found.entry(tag).or_default().push(content);
            }
        }
        let known = |channel: u64| guilds.values().any(|guild| guild.channels.contains_key(&channel));
        for (tag, fate) in &self.messages {
            let copies = found.get(tag).map(Vec::as_slice).unwrap_or_default();
            assert!(copies.len() <= 1, "judge durability: message t{tag} is there {} times", copies.len());
            if !known(fate.channel) {
                continue; // gone with its channel
            }
            let acknowledged = fate.id.is_some();
            if fate.refused || fate.gone {
                assert!(copies.is_empty(), "judge durability: message t{tag} is there, but {fate:?}");
            }
            if acknowledged && !fate.gone && fate.going == 0 {
                assert_eq!(copies.len(), 1, "judge durability: acknowledged message t{tag} is lost: {fate:?}");
            }
            if let (true, Some(content)) = (acknowledged, copies.first()) {
                report.messages_found += 1;
                assert!(fate.may_read(content), "judge durability: message t{tag} reads {content:?}, but {fate:?}");
            }
        }
    }
}

/// The texts of a channel's messages, those left out that say of a pin. Compares the flags with the pins.
fn texts(channel: u64, store: &mut SimStore, report: &mut Report) -> Vec<String> {
    let (mut all, mut anchor) = (Vec::new(), Anchor::Newest);
    let pinned = pins(channel, store);
    let mut flagged = BTreeSet::new();
    loop {
        let query = Query::Messages { channel: ChannelId::new(channel), anchor, limit: 100 };
        let Found::Messages(page) = store.look(&query) else { unreachable!("messages were asked for") };
        let Some(last) = page.last() else { break };
        anchor = Anchor::Before(last.id);
        flagged.extend(page.iter().filter(|message| message.extra.pinned).map(|message| message.id.get()));
        let written = page.into_iter().filter(|message| message.extra.kind != PIN_NOTICE);
        all.extend(written.map(|message| message.content));
    }
    assert_eq!(flagged, pinned, "judge durability: messages of channel {channel} with the flag are its pins");
    report.pins_found += pinned.len() as u64;
    all
}

/// All pins of a channel, page by page.
fn pins(channel: u64, store: &mut SimStore) -> BTreeSet<u64> {
    let (mut all, mut before_ms) = (BTreeSet::new(), None);
    loop {
        let query = Query::Pins { channel: ChannelId::new(channel), before_ms, limit: 2 };
        let Found::Pins(page) = store.look(&query) else { unreachable!("pins were asked for") };
        for (pinned_at_ms, message) in page.items {
            assert!(all.insert(message.id.get()), "judge durability: {} is pinned twice", message.id);
            before_ms = Some(pinned_at_ms);
        }
        if !page.has_more {
            return all;
        }
    }
}

fn judge_guild(id: u64, model: &GuildModel, store: &mut SimStore, report: &mut Report) {
    report.guilds_compared += 1;
    let Found::Guild(Some(record)) = store.look(&Query::Guild(GuildId::new(id))) else {
        panic!("judge durability: guild {id} was committed and is lost");
    };
    let mut kept = GuildModel::new(&record.guild);
    kept.channels = record.channels.iter().map(|it| (it.id.get(), ChannelModel::from(it))).collect();
    kept.roles = record.roles.iter().map(|it| (it.id.get(), RoleModel::from(it))).collect();
    let mut after = UserId::new(0);
    loop {
        let query = Query::Members { guild: GuildId::new(id), after, limit: 1_000 };
        let Found::Members(members) = store.look(&query) else { unreachable!("members were asked for") };
        let Some(last) = members.last() else { break };
        after = last.user.id;
        kept.members.extend(members.iter().map(|it| (it.user.id.get(), MemberModel::from(it))));
    }
    let mut believed = model.clone();
    for (user, member) in &mut believed.members {
        member.roles = model.roles_of(*user).into_iter().collect();
    }
    assert_eq!(record.member_count, kept.members.len() as u64, "judge durability: the count of members is right");
    assert_eq!(kept, believed, "judge durability: guild {id} is kept as it was committed");
    assert!(
        kept.members.contains_key(&kept.owner),
        "judge durability: guild {id} is owned by user {}, who is no member",
        kept.owner
    );
}

//! What a session asks about members: the requests that wait, and how far the first of them is answered.
//!
//! Lives on: the session's home. Source: Discord docs, Gateway Events/Request Guild Members and Guild Members Chunk.
//! Requests are answered one after the other. All members of a guild are answered page by page, and the next page is
//! looked up when the client has taken what it was sent: `shard::home::member_pages` sees to that.
//! Invariant: who rests, waits for a look-up or is being looked up is one of the three ([`RequestStep`]); only then is
//! there a request.

use std::collections::VecDeque;
use std::io::Write;

use crate::base::id::{GuildId, UserId};
use crate::limits;
use crate::store::{Found, Query};
use crate::wire::model::member::MemberView;
use crate::wire::model::presence::PresenceOf;
use crate::wire::model::rendered;

/// Which members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    Everybody,
    /// Those whose names start so.
    Named {
        /// The start.
        prefix: String,
        /// 1 to 100; 0 is 100.
        limit: u32,
    },
    /// Those among these users, of whom at most 100 count.
    Users(Vec<UserId>),
}

/// A request for members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersWanted {
    /// Of which guild.
    pub guild: GuildId,
    /// Which.
    pub wanted: Wanted,
    /// Their presences too.
    pub presences: bool,
    /// Comes back with the answer.
    pub nonce: Option<String>,
}

/// A request, and how far it is answered.
#[derive(Debug)]
pub struct PendingMemberRequest {
    request: MembersWanted,
    /// Chunks sent.
    index: u64,
    /// The last member sent.
    after: UserId,
}

/// A part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The body of GUILD_MEMBERS_CHUNK.
    pub json: Vec<u8>,
    /// There is another behind it.
    pub more: bool,
}

/// How far a session's first request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestStep {
    /// The client has to take what it was sent, or there is no request.
    #[default]
    Rests,
    /// Its turn will come.
    Waits,
    /// The store was asked.
    Asks,
}

/// The requests of one session.
#[derive(Debug, Default)]
pub struct MemberRequests {
    /// The first is being answered.
    queue: VecDeque<PendingMemberRequest>,
    /// How far that is.
    pub step: RequestStep,
}

impl MemberRequests {
    /// Puts a request behind the others. False if too many wait.
    pub fn push(&mut self, mut request: MembersWanted) -> bool {
        if self.queue.len() >= limits::MEMBERS_WAITING_MAX {
            return false;
        }
        if let Wanted::Users(users) = &mut request.wanted {
            users.truncate(limits::MEMBERS_NAMED_MAX as usize);
            users.sort_unstable();
            users.dedup();
        }
        self.queue.push_back(PendingMemberRequest { request, index: 0, after: UserId::new(0) });
        true
    }

    /// The request being answered.
    pub fn first(&mut self) -> Option<&mut PendingMemberRequest> {
        self.queue.front_mut()
    }

    /// Lets go of the request being answered.
    pub fn pop(&mut self) {
        self.queue.pop_front();
    }

    /// Whether nothing is asked.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.step == RequestStep::Rests
    }

    /// Whether a request waits for the client's reading.
    pub fn rest(&self) -> bool {
        self.step == RequestStep::Rests && !self.queue.is_empty()
    }
}

impl PendingMemberRequest {
    /// Of which guild.
    pub fn guild(&self) -> GuildId {
        self.request.guild
    }

    /// Whether presences come with the members.
    pub fn wants_presences(&self) -> bool {
        self.request.presences
    }

    /// What the store is to be asked for the next chunk.
    pub fn query(&self) -> Query {
        let guild = self.request.guild;
        match &self.request.wanted {
            Wanted::Everybody => Query::MembersListed { guild, after: self.after },
            Wanted::Named { prefix, limit } => {
                let limit = if *limit == 0 { limits::MEMBERS_NAMED_MAX } else { *limit };
                let limit = limit.min(limits::MEMBERS_NAMED_MAX);
                if prefix.is_empty() {
                    Query::Members { guild, after: UserId::new(0), limit }
                } else {
                    Query::MembersByPrefix { guild, prefix: prefix.clone(), limit }
                }
            }
            Wanted::Users(users) => Query::MembersAmong(guild, users.clone()),
        }
    }

    /// The next chunk, from what the store found; none if there is no such guild.
    ///
    /// How many chunks there will be is known by the count of members, which changes meanwhile: the last chunk is the
    /// one with the number before that.
    pub fn chunk(&mut self, found: &Found, presences: &[PresenceOf]) -> Option<Chunk> {
        let chunk = match found {
            Found::Listed(Some(listed)) => {
                let foreseen = listed.member_count.div_ceil(u64::from(limits::MEMBERS_CHUNK));
                let count = if listed.more { foreseen.max(self.index + 2) } else { self.index + 1 };
                self.after = listed.users.last().copied().unwrap_or(self.after);
                Chunk { json: self.render(&listed.json, count, None, presences), more: listed.more }
            }
            Found::Members(members) => {
                let json = serde_json::to_vec(&rendered(members.iter().map(MemberView))).expect("members are JSON");
                let missing = if let Wanted::Users(users) = &self.request.wanted {
                    let missing = users.iter().filter(|user| members.iter().all(|member| member.user.id != **user));
                    Some(missing.copied().collect::<Vec<UserId>>())
                } else {
                    None
                };
                Chunk { json: self.render(&json, 1, missing.as_deref(), presences), more: false }
            }
            _ => return None,
        };
        self.index += 1;
        Some(chunk)
    }

    /// The body, `members` being a list in JSON.
    fn render(&self, members: &[u8], count: u64, missing: Option<&[UserId]>, known: &[PresenceOf]) -> Vec<u8> {
        let MembersWanted { guild, nonce, presences, .. } = &self.request;
        let mut json = Vec::with_capacity(members.len() + CHUNK_BYTES);
        let room = "memory can be written to";
        write!(json, r#"{{"guild_id":"{guild}","members":"#).expect(room);
        json.extend_from_slice(members);
        write!(json, r#","chunk_index":{},"chunk_count":{count}"#, self.index).expect(room);
        if let Some(missing) = missing {
            json.extend_from_slice(br#","not_found":"#);
            serde_json::to_writer(&mut json, missing).expect(room);
        }
        if *presences {
            json.extend_from_slice(br#","presences":"#);
            serde_json::to_writer(&mut json, known).expect(room);
        }
        if let Some(nonce) = nonce {
            json.extend_from_slice(br#","nonce":"#);
            serde_json::to_writer(&mut json, nonce).expect(room);
        }
        json.push(b'}');
        json
    }
}

/// Bytes of a chunk besides its members, as a rule.
const CHUNK_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::member::Member;
    use crate::model::user::User;
    use crate::store::MembersPage;

    const GUILD: GuildId = GuildId::new(7);

    fn asked(wanted: Wanted, nonce: Option<&str>) -> MemberRequests {
        let mut member_requests = MemberRequests::default();
        assert!(member_requests.push(MembersWanted {
            guild: GUILD,
            wanted,
            presences: false,
            nonce: nonce.map(str::to_owned)
        }));
        member_requests
    }

    fn page(member_count: u64, more: bool, last: u64) -> Found {
        let users = vec![UserId::new(last)];
        Found::Listed(Some(Box::new(MembersPage { json: b"[]".to_vec(), users, more, member_count })))
    }

    fn next(member_requests: &mut MemberRequests, found: &Found) -> (Value, bool) {
        let Chunk { json, more } = member_requests.first().unwrap().chunk(found, &[]).unwrap();
        (serde_json::from_slice(&json).unwrap(), more)
    }

    #[test]
    fn the_last_chunk_says_that_it_is_the_last_whatever_the_count_was() {
        let mut member_requests = asked(Wanted::Everybody, Some("a\"b"));
        let (first, more) = next(&mut member_requests, &page(2_500, true, 50));
        let expected = json!({ "guild_id": "7", "members": [], "chunk_index": 0, "chunk_count": 3, "nonce": "a\"b" });
        assert_eq!((first, more), (expected, true));
        let after = UserId::new(50);
        assert_eq!(member_requests.first().unwrap().query(), Query::MembersListed { guild: GUILD, after });
        // Others have come: there is more than was foreseen.
        next(&mut member_requests, &page(2_500, true, 60));
        let (third, more) = next(&mut member_requests, &page(2_500, true, 70));
        assert_eq!((&third["chunk_index"], &third["chunk_count"], more), (&json!(2), &json!(4), true));
        // Others have left: there is less.
        let (fourth, more) = next(&mut member_requests, &page(9_000, false, 80));
        assert_eq!((&fourth["chunk_index"], &fourth["chunk_count"], more), (&json!(3), &json!(4), false));
    }

    #[test]
    fn who_is_no_member_is_not_found() {
        let users = [3, 1, 2, 2].map(UserId::new).to_vec();
        let mut member_requests = asked(Wanted::Users(users), None);
        let user = User { id: UserId::new(2), username: "b".into(), global_name: None, avatar: None, bot: false };
        let (chunk, more) = next(&mut member_requests, &Found::Members(vec![Member::new(user, 0)]));
        assert_eq!(chunk["not_found"], json!(["1", "3"]));
        assert_eq!(chunk["members"][0]["user"]["id"], "2");
        assert_eq!((&chunk["chunk_index"], &chunk["chunk_count"], more), (&json!(0), &json!(1), false));
        assert!(chunk.get("nonce").is_none());
    }

    #[test]
    fn requests_that_wait_are_bounded() {
        let mut member_requests = MemberRequests::default();
        let request = MembersWanted { guild: GUILD, wanted: Wanted::Everybody, presences: false, nonce: None };
        for _ in 0..limits::MEMBERS_WAITING_MAX {
            assert!(member_requests.push(request.clone()));
        }
        assert!(!member_requests.push(request));
    }
}

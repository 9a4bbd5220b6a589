//! The part of GUILD_CREATE that is one session's own. Source: Discord docs, Gateway Events/Guild Create.
//!
//! Lives on: the session's home; rendered when it is sent, since a million rendered ones would be half a gigabyte.

use std::io::Write;
use std::sync::Arc;

use crate::base::clock;
use crate::model::kept_member::KeptMember;
use crate::model::member::Member;
use crate::wire::model::member::MemberView;
use crate::wire::model::presence::PresenceOf;

/// What GUILD_CREATE tells one session besides what it tells all.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The session's own member.
    pub member: KeptMember,
    /// Members of the guild.
    pub member_count: u64,
    /// Members from which on the session calls a guild large.
    pub large_threshold: u16,
    /// The guild was in READY, so the key `unavailable` is there and false; on a real join it is absent, by which
    /// discord.py tells "available" from "joined".
    pub awaited: bool,
    /// All members, or those who are online, if the session is to see them at once; else none.
    pub members: Arc<[Arc<Member>]>,
    /// Presences of all others who are online, if the session may know them; else none.
    pub presences: Arc<[PresenceOf]>,
}

impl Arrival {
    /// Follows the common part, an object without its closing brace.
    pub fn json(&self) -> String {
        let Arrival { member, member_count, large_threshold, awaited, members, presences } = self;
        let alone = [Arc::new(member.member())];
        let joined = clock::iso8601(alone[0].joined_at_ms);
        let members = if members.is_empty() { &alone[..] } else { members };
        let mut json = Vec::with_capacity(ARRIVAL_BYTES * members.len() + PRESENCE_BYTES * presences.len());
        let large = *member_count > u64::from(*large_threshold);
        let unavailable = if *awaited { r#","unavailable":false"# } else { "" };
        let rest = write!(
            json,
            r#","joined_at":"{joined}","large":{large}{unavailable},"member_count":{member_count},"members":["#
        );
        rest.expect("memory can be written to");
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            serde_json::to_writer(&mut json, &MemberView(member)).expect("a member is JSON");
        }
        json.extend_from_slice(br#"],"presences":"#);
        serde_json::to_writer(&mut json, &**presences).expect("presences are JSON");
        json.push(b'}');
        String::from_utf8(json).expect("JSON is UTF-8")
    }
}

/// Bytes that one member takes with what stands before it, as a rule.
const ARRIVAL_BYTES: usize = 640;
/// Bytes that one presence takes, as a rule.
const PRESENCE_BYTES: usize = 160;

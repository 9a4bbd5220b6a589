//! What GUILD_MEMBER_LIST_UPDATE is made of. Source: what people's clients read; Discord does not document it.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::base::id::{RoleId, UserId};
use crate::wire::model::kept::KeptMember;
use crate::wire::model::presence::Presence;

/// A heading of a member list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupId {
    /// A role that is shown apart.
    Role(RoleId),
    /// Who has none of those.
    Online,
    /// Who is not online.
    Offline,
}

impl Serialize for GroupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            GroupId::Role(role) => role.serialize(serializer),
            GroupId::Online => serializer.serialize_str("online"),
            GroupId::Offline => serializer.serialize_str("offline"),
        }
    }
}

/// A heading, and how many members are under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// How many.
    pub count: u32,
}

/// One row, as it is sent.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Item<'a> {
    /// A heading.
    Group(Group),
    /// A member.
    Member(Listed<'a>),
}

/// A member with its presence.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a>(pub &'a KeptMember, pub &'a Presence);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Shown<'a>(UserId, &'a Presence);
        #[derive(Serialize)]
        struct Only {
            id: UserId,
        }
        impl Serialize for Shown<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("user", &Only { id: self.0 })?;
                self.1.fields(&mut map)?;
                map.end()
            }
        }
        let member = self.0.member();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &member.user)?;
        member.fields(&mut map)?;
        map.serialize_entry("presence", &Shown(member.user.id, self.1))?;
        map.end()
    }
}

/// A change of rows. Those of one event are applied in order; places count from the list's first row.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "op", rename_all = "UPPERCASE")]
pub enum Op<'a> {
    /// The rows of a range, all of them.
    Sync {
        /// First and last place.
        range: (u32, u32),
        /// Fewer than the range has places for where the list ends.
        items: Vec<Item<'a>>,
    },
    /// A row comes in; those from there on move down.
    Insert {
        /// Where.
        index: u32,
        /// What.
        item: Item<'a>,
    },
    /// A row becomes another.
    Update {
        /// Where.
        index: u32,
        /// What.
        item: Item<'a>,
    },
    /// A row goes; those behind it move up.
    Delete {
        /// Where.
        index: u32,
    },
    /// Nothing more comes of a range.
    Invalidate {
        /// First and last place.
        range: (u32, u32),
    },
}

//! What GUILD_MEMBER_LIST_UPDATE is made of. Source: what people's clients read; Discord does not document it.
//!
//! Lives on: every core.

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::base::id::RoleId;

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

impl Group {
    /// Writes the heading as a row.
    pub fn write_row(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"group\":");
        serde_json::to_writer(&mut *out, &self).expect("a heading is JSON");
        out.push(b'}');
    }
}

/// The event in the making: changes of rows, which are applied in order; places count from the list's first row.
///
/// It is written into a buffer that is used again, and copied out at its exact size: bounds count lengths.
#[derive(Debug)]
pub struct Update<'a>(&'a mut Vec<u8>);

impl<'a> Update<'a> {
    /// With these numbers: an object without its closing brace.
    pub fn new(head: &[u8], buffer: &'a mut Vec<u8>) -> Update<'a> {
        buffer.clear();
        buffer.extend_from_slice(head);
        buffer.extend_from_slice(b",\"ops\":[");
        Update(buffer)
    }

    /// The rows of a range, all of them: fewer than the range has places for where the list ends. `write` writes one.
    pub fn sync<T>(
        &mut self,
        range: (u32, u32),
        rows: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) {
        self.begin("SYNC");
        self.range(range);
        self.0.extend_from_slice(b",\"items\":");
        let mut separator = b'[';
        for row in rows {
            self.0.push(separator);
            write(row, self.0);
            separator = b',';
        }
        self.0.extend_from_slice(if separator == b'[' { b"[]}" } else { b"]}" });
    }

    /// A row comes in; those from there on move down.
    pub fn insert(&mut self, index: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.one("INSERT", index, write);
    }

    /// A row becomes another.
    pub fn update(&mut self, index: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.one("UPDATE", index, write);
    }

    /// A row goes; those behind it move up.
    pub fn delete(&mut self, index: u32) {
        self.begin("DELETE");
        self.index(index);
        self.0.push(b'}');
    }

    /// Nothing more comes of a range.
    pub fn invalidate(&mut self, range: (u32, u32)) {
        self.begin("INVALIDATE");
        self.range(range);
        self.0.push(b'}');
    }

    /// The event.
    pub fn finish(self) -> Bytes {
        self.0.extend_from_slice(b"]}");
        Bytes::copy_from_slice(self.0)
    }

    fn one(&mut self, name: &str, index: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin(name);
        self.index(index);
        self.0.extend_from_slice(b",\"item\":");
        write(self.0);
        self.0.push(b'}');
    }

    fn begin(&mut self, name: &str) {
        if self.0.last() == Some(&b'}') {
            self.0.push(b',');
        }
        self.0.extend_from_slice(b"{\"op\":\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
    }

    fn index(&mut self, index: u32) {
        self.0.extend_from_slice(b",\"index\":");
        self.number(index);
    }

    fn range(&mut self, (first, last): (u32, u32)) {
        self.0.extend_from_slice(b",\"range\":[");
        self.number(first);
        self.0.push(b',');
        self.number(last);
        self.0.push(b']');
    }

    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_numbers_and_operations_and_no_larger_than_it_must_be() {
        let mut buffer = Vec::new();
        let group = Group { id: GroupId::Online, count: 3 };
        let mut update = Update::new(br#"{"id":"everyone""#, &mut buffer);
        update.sync((0, 99), [group, Group { id: GroupId::Role(RoleId::new(7)), count: 1 }], Group::write_row);
        update.sync((100, 199), [], Group::write_row);
        update.delete(5);
        update.insert(4, |out| group.write_row(out));
        update.update(3, |out| out.push(b'1'));
        update.invalidate((4_294_967_000, 4_294_967_099));
        let body = update.finish();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            concat!(
                r#"{"id":"everyone","ops":["#,
                r#"{"op":"SYNC","range":[0,99],"items":[{"group":{"id":"online","count":3}},{"group":{"id":"7","count":1}}]},"#,
                r#"{"op":"SYNC","range":[100,199],"items":[]},{"op":"DELETE","index":5},"#,
                r#"{"op":"INSERT","index":4,"item":{"group":{"id":"online","count":3}}},{"op":"UPDATE","index":3,"item":1},"#,
                r#"{"op":"INVALIDATE","range":[4294967000,4294967099]}]}"#
            )
        );
        assert_eq!(Update::new(b"{", &mut buffer).finish(), r#"{,"ops":[]}"#);
    }
}

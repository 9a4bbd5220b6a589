//! A member's place within a group of a member list: by the name that is shown, whatever its case, then by id.
//!
//! Lives on: the guild's core. There is one for each online member in each subscribed list, so it is small:
//! 32 bytes, and what a name has beyond 16 bytes beside it.

use std::rc::Rc;

use crate::base::id::UserId;
use crate::model::kept_member::KeptMember;

/// Bytes of a name that stand in the line itself: nearly all names differ in them.
const START: usize = 16;

/// Where a member stands. Lines are compared field by field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey {
    start: [u8; START],
    /// Two pointers, so that it takes one word here: few names are that long.
    rest: Option<Rc<Box<[u8]>>>,
    user: UserId,
}

impl NameKey {
    /// Of a user with this name.
    pub fn new(name: &str, user: UserId) -> NameKey {
        let mut start = [0; START];
        let mut length = 0;
        let mut rest = Vec::new();
        for letter in name.chars().flat_map(char::to_lowercase) {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                match start.get_mut(length) {
                    Some(place) => *place = byte,
                    None => rest.push(byte),
                }
                length += 1;
            }
        }
        NameKey { start, rest: (!rest.is_empty()).then(|| Rc::new(rest.into_boxed_slice())), user }
    }

    /// Of a member, by the name that is shown.
    pub fn of(member: &KeptMember) -> NameKey {
        NameKey::new(member.name(), member.user())
    }

    /// Whose.
    pub fn user(&self) -> UserId {
        self.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_order_of_names_whatever_their_case() {
        let names =
            ["007", "a", "A", "ab", "Zoë", "a name of many letters", "A NAME OF many letters!", "a name of many"];
        let mut lines: Vec<(NameKey, &str)> =
            names.iter().enumerate().map(|(n, name)| (NameKey::new(name, UserId::new(n as u64)), *name)).collect();
        lines.sort();
        let sorted: Vec<&str> = lines.into_iter().map(|(_, name)| name).collect();
        assert_eq!(
            sorted,
            ["007", "a", "A", "a name of many", "a name of many letters", "A NAME OF many letters!", "ab", "Zoë"]
        );
    }

    /// A million of them are a million times this.
    #[test]
    fn a_line_is_small() {
        assert_eq!(size_of::<NameKey>(), 32);
    }
}

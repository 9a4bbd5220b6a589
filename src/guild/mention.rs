//! Mentions in a text. Source: Discord docs, Reference/Message Formatting and Resources/Message/Allowed Mentions.
//!
//! Lives on: the guild's core.

use crate::base::id::{RoleId, UserId};
use crate::limits;

/// Who is named in a text, whether or not it takes effect. Each once, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) users: Vec<UserId>,
    pub(super) roles: Vec<RoleId>,
    pub(super) everyone: bool,
}

/// Finds `<@id>`, `<@!id>`, `<@&id>`, `@everyone` and `@here`.
pub(super) fn named(text: &str) -> Named {
    let mut named = Named { everyone: text.contains("@everyone") || text.contains("@here"), ..Named::default() };
    for piece in text.split("<@").skip(1) {
        let Some((inside, _)) = piece.split_once('>') else { continue };
        if let Some(role) = inside.strip_prefix('&') {
            push(&mut named.roles, role.parse().ok());
        } else {
            push(&mut named.users, inside.strip_prefix('!').unwrap_or(inside).parse().ok());
        }
    }
    named
}

fn push<T: PartialEq>(list: &mut Vec<T>, found: Option<T>) {
    if let Some(found) = found
        && !list.contains(&found)
        && list.len() < limits::MENTIONS_MAX
    {
        list.push(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_found_once_each_and_lookalikes_are_not() {
        let named = named("<@1> <@!2> <@&3> <@1> <@x> <@ 4> <#5> <@6 hello @here <@!7>");
        assert_eq!(named.users, [UserId::new(1), UserId::new(2), UserId::new(7)]);
        assert_eq!(named.roles, [RoleId::new(3)]);
        assert!(named.everyone);
    }
}

//! The documented algorithm that turns roles and overwrites into what a member may do.
//!
//! Lives on: every core. Pure functions; guilds and relays call the same ones.
//! Source: Discord docs, Topics/Permissions.

use crate::base::id::{GuildId, RoleId, UserId};
use crate::model::channel::{Overwrite, OverwriteKind};
use crate::model::permissions::Permissions;

/// Guild-wide permissions: the owner and administrators may do everything, others what `@everyone` and their roles sum
/// up to.
///
/// `everyone` are the permissions of the role with the guild's id, `roles` those of the member's other roles.
pub fn in_guild(is_owner: bool, everyone: Permissions, roles: impl Iterator<Item = Permissions>) -> Permissions {
    if is_owner {
        return Permissions::all();
    }
    let sum = roles.fold(everyone, Permissions::union);
    if sum.contains(Permissions::ADMINISTRATOR) { Permissions::all() } else { sum }
}

/// Permissions in a channel: `base` from [`in_guild`], then the channel's overwrites for `@everyone`, for the member's
/// roles merged, for the member; then what is denied implicitly.
///
/// `has_role` answers whether the member has a role; `user` may be absent when no overwrite can name the member.
pub fn in_channel(
    base: Permissions,
    guild: GuildId,
    user: Option<UserId>,
    has_role: impl Fn(RoleId) -> bool,
    overwrites: &[Overwrite],
) -> Permissions {
    if base.contains(Permissions::ADMINISTRATOR) {
        return Permissions::all();
    }
    let mut result = base;
    let (mut allow, mut deny) = (Permissions::empty(), Permissions::empty());
    let mut member = None;
    for overwrite in overwrites {
        match overwrite.kind {
            OverwriteKind::Role if overwrite.id == guild.get() => {
                result = result.difference(overwrite.deny).union(overwrite.allow);
            }
            OverwriteKind::Role if has_role(RoleId::new(overwrite.id)) => {
                allow |= overwrite.allow;
                deny |= overwrite.deny;
            }
            OverwriteKind::Member if user.is_some_and(|user| user.get() == overwrite.id) => member = Some(overwrite),
            OverwriteKind::Role | OverwriteKind::Member => {}
        }
    }
    // @everyone's overwrite comes first whatever its place in the list, so it was applied in the loop and the sums
    // after it.
    result = result.difference(deny).union(allow);
    if let Some(overwrite) = member {
        result = result.difference(overwrite.deny).union(overwrite.allow);
    }
    implied(result)
}

/// Takes away what cannot be had without something else.
fn implied(mut granted: Permissions) -> Permissions {
    if !granted.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    if !granted.contains(Permissions::SEND_MESSAGES) {
        granted.remove(
            Permissions::MENTION_EVERYONE
                | Permissions::SEND_TTS_MESSAGES
                | Permissions::ATTACH_FILES
                | Permissions::EMBED_LINKS,
        );
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUILD: GuildId = GuildId::new(10);

    fn role(id: u64, allow: Permissions, deny: Permissions) -> Overwrite {
        Overwrite { id, kind: OverwriteKind::Role, allow, deny }
    }

    #[test]
    fn an_owner_and_an_administrator_may_do_everything_everywhere() {
        let hidden = [role(10, Permissions::empty(), Permissions::VIEW_CHANNEL)];
        for base in [
            in_guild(true, Permissions::empty(), std::iter::empty()),
            in_guild(false, Permissions::empty(), std::iter::once(Permissions::ADMINISTRATOR)),
        ] {
            assert_eq!(in_channel(base, GUILD, None, |_| false, &hidden), Permissions::all());
        }
    }

    #[test]
    fn role_overwrites_are_merged_and_the_members_own_comes_last() {
        let base = Permissions::VIEW_CHANNEL | Permissions::SEND_MESSAGES;
        let user = UserId::new(5);
        let mut overwrites = vec![
            role(20, Permissions::VIEW_CHANNEL, Permissions::empty()),
            role(21, Permissions::empty(), Permissions::VIEW_CHANNEL),
            role(10, Permissions::empty(), Permissions::VIEW_CHANNEL),
        ];
        // Both roles: allow wins over deny, and both come after @everyone although listed before it.
        let both = in_channel(base, GUILD, Some(user), |_| true, &overwrites);
        assert!(both.contains(Permissions::VIEW_CHANNEL | Permissions::SEND_MESSAGES));
        let only_deny = in_channel(base, GUILD, Some(user), |role| role.get() == 21, &overwrites);
        assert_eq!(only_deny, Permissions::empty());
        overwrites.push(Overwrite {
            id: 5,
            kind: OverwriteKind::Member,
            allow: Permissions::VIEW_CHANNEL,
            deny: Permissions::SEND_MESSAGES,
        });
        let own = in_channel(base, GUILD, Some(user), |role| role.get() == 21, &overwrites);
        assert_eq!(own, Permissions::VIEW_CHANNEL);
    }

    #[test]
    fn not_seeing_a_channel_takes_everything_and_not_sending_takes_what_needs_it() {
        let base = Permissions::SEND_MESSAGES | Permissions::ATTACH_FILES;
        assert_eq!(in_channel(base, GUILD, None, |_| false, &[]), Permissions::empty());
        let base = Permissions::VIEW_CHANNEL | Permissions::ATTACH_FILES | Permissions::ADD_REACTIONS;
        let left = in_channel(base, GUILD, None, |_| false, &[]);
        assert_eq!(left, Permissions::VIEW_CHANNEL | Permissions::ADD_REACTIONS);
    }
}

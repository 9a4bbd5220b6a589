//! How clients see an invite. Source: Discord docs, Resources/Invite.
//!
//! Lives on: every core.

use serde_json::{Value, json};

use crate::base::clock;
use crate::model::channel::Channel;
use crate::model::guild::GuildSettings;
use crate::model::invite::Invite;
use crate::wire::model::user::UserView;

/// The full object with metadata. `counts`: `(members, online)` if asked for.
pub fn render(invite: &Invite, guild: &GuildSettings, channel: &Channel, counts: Option<(u64, u64)>) -> Value {
    let mut object = json!({
        "type": 0,
        "code": invite.code,
        "guild_id": invite.guild_id,
        "guild": {
            "id": guild.id, "name": guild.name, "icon": guild.icon, "splash": null, "banner": null,
            "description": guild.description, "features": guild.features,
            "verification_level": guild.verification_level, "vanity_url_code": null, "nsfw_level": 0,
            "nsfw": false, "premium_subscription_count": 0, "premium_tier": 0,
        },
        "channel": { "id": channel.id, "name": channel.name, "type": channel.kind },
        "inviter": UserView(&invite.inviter),
        "uses": invite.uses,
        "max_uses": invite.max_uses,
        "max_age": invite.max_age,
        "temporary": invite.temporary,
        "created_at": clock::iso8601(invite.created_at_ms),
        "expires_at": invite.expires_at_ms().map(clock::iso8601),
        "flags": 0,
    });
    if let Some((members, online)) = counts {
        object["approximate_member_count"] = members.into();
        object["approximate_presence_count"] = online.into();
    }
    object
}

//! Gateway opcodes.
//!
//! Lives on: every core. Source: Discord docs, Opcodes and Status Codes/Gateway.

/// What a gateway payload is. `from_client` names those that a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// An event, server to client.
    Dispatch = 0,
    /// Both ways.
    Heartbeat = 1,
    /// Client: start a session.
    Identify = 2,
    /// Client: change own presence.
    PresenceUpdate = 3,
    /// Client: join, move or leave voice.
    VoiceStateUpdate = 4,
    /// Client: continue a session.
    Resume = 6,
    /// Server: connect again and resume.
    Reconnect = 7,
    /// Client: ask for members.
    RequestGuildMembers = 8,
    /// Server: the session is over, or may be tried again.
    InvalidSession = 9,
    /// Server: first words.
    Hello = 10,
    /// Server: heartbeat seen.
    HeartbeatAck = 11,
    /// User client, old form of 37.
    GuildSubscriptions = 14,
    /// Client: ask for sounds.
    RequestSoundboardSounds = 31,
    /// User client: subscribe to guilds.
    GuildSubscriptionsBulk = 37,
    /// Client: ask for channel info.
    RequestChannelInfo = 43,
}

impl Opcode {
    /// Reads an opcode that a client sent; `None` is an unknown opcode (close code 4001).
    pub fn from_client(raw: u64) -> Option<Opcode> {
        Some(match raw {
            1 => Opcode::Heartbeat,
            2 => Opcode::Identify,
            3 => Opcode::PresenceUpdate,
            4 => Opcode::VoiceStateUpdate,
            6 => Opcode::Resume,
            8 => Opcode::RequestGuildMembers,
            14 => Opcode::GuildSubscriptions,
            31 => Opcode::RequestSoundboardSounds,
            37 => Opcode::GuildSubscriptionsBulk,
            43 => Opcode::RequestChannelInfo,
            _ => return None,
        })
    }
}

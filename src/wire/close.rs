//! Gateway close codes.
//!
//! Lives on: every core. Source: Discord docs, Opcodes and Status Codes/Gateway Close Event Codes.

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: a polite end. The client should start anew.
    Normal,
    /// 4000.
    UnknownError,
    /// 4001: unknown opcode, or a payload that does not fit its opcode.
    UnknownOpcode,
    /// 4002: not JSON, not UTF-8, or too long.
    DecodeError,
    /// 4003: something else before identify.
    NotAuthenticated,
    /// 4004: a bad token.
    AuthenticationFailed,
    /// 4005: a second identify.
    AlreadyAuthenticated,
    /// 4007: a resume from the future.
    InvalidSeq,
    /// 4008: more than 120 commands in 60 s.
    RateLimited,
    /// 4009: the session was gone, or heartbeats stopped.
    SessionTimedOut,
    /// 4010.
    InvalidShard,
    /// 4011: too many guilds for one shard.
    ShardingRequired,
    /// 4012.
    InvalidApiVersion,
    /// 4013.
    InvalidIntents,
    /// 4014: a privileged intent that is not enabled.
    DisallowedIntents,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            CloseCode::Normal => 1000,
            CloseCode::UnknownError => 4000,
            CloseCode::UnknownOpcode => 4001,
            CloseCode::DecodeError => 4002,
            CloseCode::NotAuthenticated => 4003,
            CloseCode::AuthenticationFailed => 4004,
            CloseCode::AlreadyAuthenticated => 4005,
            CloseCode::InvalidSeq => 4007,
            CloseCode::RateLimited => 4008,
            CloseCode::SessionTimedOut => 4009,
            CloseCode::InvalidShard => 4010,
            CloseCode::ShardingRequired => 4011,
            CloseCode::InvalidApiVersion => 4012,
            CloseCode::InvalidIntents => 4013,
            CloseCode::DisallowedIntents => 4014,
        }
    }

    /// The words that go with it.
    pub const fn reason(self) -> &'static str {
        match self {
            CloseCode::Normal => "",
            CloseCode::UnknownError => "Unknown error.",
            CloseCode::UnknownOpcode => "Unknown opcode.",
            CloseCode::DecodeError => "Error while decoding payload.",
            CloseCode::NotAuthenticated => "Not authenticated.",
            CloseCode::AuthenticationFailed => "Authentication failed.",
            CloseCode::AlreadyAuthenticated => "Already authenticated.",
            CloseCode::InvalidSeq => "Invalid seq.",
            CloseCode::RateLimited => "Rate limited.",
            CloseCode::SessionTimedOut => "Session timed out.",
            CloseCode::InvalidShard => "Invalid shard.",
            CloseCode::ShardingRequired => "Sharding required.",
            CloseCode::InvalidApiVersion => "Invalid API version.",
            CloseCode::InvalidIntents => "Invalid intent(s).",
            CloseCode::DisallowedIntents => "Disallowed intent(s).",
        }
    }

    /// Whether the session, if there is one, stays resumable after the server closed with this code.
    pub const fn keeps_session(self) -> bool {
        match self {
            CloseCode::UnknownError
            | CloseCode::UnknownOpcode
            | CloseCode::DecodeError
            | CloseCode::AlreadyAuthenticated
            | CloseCode::RateLimited => true,
            // A zombie's connection is closed with 4009, but the client may well resume: nothing was lost. The
            // documentation lets it start anew; libraries that resume find the session.
            CloseCode::SessionTimedOut => true,
            CloseCode::Normal
            | CloseCode::NotAuthenticated
            | CloseCode::AuthenticationFailed
            | CloseCode::InvalidSeq
            | CloseCode::InvalidShard
            | CloseCode::ShardingRequired
            | CloseCode::InvalidApiVersion
            | CloseCode::InvalidIntents
            | CloseCode::DisallowedIntents => false,
        }
    }
}

/// Whether a client that closes with this code (`None`: without one, or a dropped socket) ends its session.
/// Source: Discord docs, Gateway/Initiating a Disconnect: 1000 and 1001 end it, anything else keeps it resumable.
pub const fn client_ends_session(code: Option<u16>) -> bool {
    matches!(code, Some(1000 | 1001))
}

//! Planted bugs: what the simulated world does wrong on purpose, so that the judges can be judged.
//!
//! `SIM_PLANT=<name>` plants one by hand.

/// A bug in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A `Publish` letter vanishes now and then.
    DropLetter,
    /// A `Publish` letter comes twice now and then.
    DuplicateLetter,
    /// Two `Publish` letters change places now and then.
    Reorder,
    /// A relay is told of a channel without its overwrites.
    LeakHidden,
    /// A commit is acknowledged and not made.
    LoseCommit,
    /// A commit is acknowledged before it is made; a crash comes between.
    EarlyAck,
    /// A resume leaves out the first missed event.
    ShortResume,
    /// A few bytes on their way to a client vanish.
    SkipBytes,
    /// A member's `Gained` letter vanishes.
    DropGained,
    /// A `Presences` letter vanishes now and then.
    DropPresences,
    /// Who hides is shown as online.
    ShowHidden,
    /// Presences for few are told to everybody.
    TellEverybody,
    /// An event for one session vanishes now and then.
    DropDispatch,
    /// An answer to a door vanishes.
    DropAnswer,
    /// What became of a window of a member list vanishes now and then.
    DropWindows,
    /// Who has lost sight of a member list is shown it once more.
    LeakList,
    /// A page of members lacks one of them.
    ShortPage,
    /// A page of members is the first one now and then.
    SamePage,
}

impl Plant {
    const NAMES: [(&'static str, Plant); 18] = [
        ("drop-letter", Plant::DropLetter),
        ("duplicate-letter", Plant::DuplicateLetter),
        ("reorder", Plant::Reorder),
        ("leak-hidden", Plant::LeakHidden),
        ("lose-commit", Plant::LoseCommit),
        ("early-ack", Plant::EarlyAck),
        ("short-resume", Plant::ShortResume),
        ("skip-bytes", Plant::SkipBytes),
        ("drop-gained", Plant::DropGained),
        ("drop-presences", Plant::DropPresences),
        ("show-hidden", Plant::ShowHidden),
        ("tell-everybody", Plant::TellEverybody),
        ("drop-dispatch", Plant::DropDispatch),
        ("drop-answer", Plant::DropAnswer),
        ("drop-windows", Plant::DropWindows),
        ("leak-list", Plant::LeakList),
        ("short-page", Plant::ShortPage),
        ("same-page", Plant::SamePage),
    ];

    /// The one named in the environment.
    pub fn from_environment() -> Option<Plant> {
        let name = std::env::var("SIM_PLANT").ok().filter(|name| !name.is_empty())?;
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        Some(found.unwrap_or_else(|| panic!("no plant is called {name}")).1)
    }
}

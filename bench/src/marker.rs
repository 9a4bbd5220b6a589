//! The words at the beginning of each message of a run: which run, which message, and when it was meant to be sent.

use std::fmt::Write as _;

use memchr::memmem::Finder;

use crate::limits;

/// Finds the markers of one run.
#[derive(Debug, Clone)]
pub struct Marker {
    run: String,
    finder: Finder<'static>,
}

/// What a marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// The message's number in the run, from 0.
    pub index: u32,
    /// When it was meant to be sent, in nanoseconds since 1970.
    pub intended_ns: u64,
}

impl Marker {
    /// The markers of the run called `run`: letters and digits only, so that JSON does not escape them.
    pub fn new(run: &str) -> Marker {
        let finder = Finder::new(&format!("gh {run} ")).into_owned();
        Marker { run: run.to_owned(), finder }
    }

    /// A message's content of `size` bytes, or as long as the marker if that is longer.
    pub fn content(&self, marked: Marked, size: usize) -> String {
        let mut content = String::with_capacity(size.max(64));
        // Writing to a string cannot fail.
        let _ = write!(content, "gh {} {} {} ", self.run, marked.index, marked.intended_ns);
        while content.len() < size {
            content.push('x');
        }
        content
    }

    /// The marker in a payload, if there is one.
    pub fn find(&self, payload: &[u8]) -> Option<Marked> {
        let at = self.finder.find(payload)? + self.finder.needle().len();
        let (index, rest) = number(&payload[at..])?;
        let (intended_ns, _) = number(rest.strip_prefix(b" ")?)?;
        let index = u32::try_from(index).ok().filter(|index| *index < limits::MESSAGES_MAX)?;
        Some(Marked { index, intended_ns })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(&bytes[..digits]).ok()?;
    Some((text.parse().ok()?, &bytes[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_again() {
        let marker = Marker::new("abc1");
        let marked = Marked { index: 7, intended_ns: 1_700_000_000_123_456_789 };
        let content = marker.content(marked, 120);
        assert_eq!(content.len(), 120);
        let payload = format!("{{\"content\":\"{content}\",\"id\":\"1\"}}");
        assert_eq!(marker.find(payload.as_bytes()), Some(marked));
    }

    #[test]
    fn markers_of_other_runs_are_not_ours() {
        let content = Marker::new("abc1").content(Marked { index: 7, intended_ns: 1 }, 0);
        assert_eq!(Marker::new("abc2").find(content.as_bytes()), None);
        assert_eq!(Marker::new("abc1").find(b"gh abc1 x 1"), None);
    }
}

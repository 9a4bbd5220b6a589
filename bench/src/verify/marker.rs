//! The words at the beginning of each text that a run sends: which run, which event, and when it was meant to be sent.

use std::fmt::Write as _;

use memchr::memmem::Finder;

use crate::base::limits;
use crate::model::script::Mark;

/// Finds the markers of one run: `gh RUN STREAM INDEX INTENDED_NS `.
#[derive(Debug, Clone)]
pub struct Marker {
    run: String,
    finder: Finder<'static>,
}

impl Marker {
    /// The markers of the run called `run`: letters and digits only, so that JSON does not escape them.
    pub fn new(run: &str) -> Marker {
        let finder = Finder::new(&format!("gh {run} ")).into_owned();
        Marker { run: run.to_owned(), finder }
    }

    /// A text of `size` bytes, or as long as the marker if that is longer.
    pub fn content(&self, mark: Mark, size: usize) -> String {
        let mut content = String::with_capacity(size.max(96));
        let Mark { stream, index, intended_ns } = mark;
        // Writing to a string cannot fail.
        let _ = write!(content, "gh {} {stream} {index} {intended_ns} ", self.run);
        // At least one more character: servers take spaces from the end.
        content.push('x');
        while content.len() < size {
            content.push('x');
        }
        content
    }

    /// The marker in a payload, if there is one.
    pub fn find(&self, payload: &[u8]) -> Option<Mark> {
        self.read(&payload[self.finder.find(payload)?..])
    }

    /// The same, tried first where the last one was: the events of a run look alike. `place` is kept by the caller.
    pub fn find_near(&self, payload: &[u8], place: &mut usize) -> Option<Mark> {
        if let Some(mark) = payload.get(*place..).and_then(|text| self.read(text)) {
            return Some(mark);
        }
        let found = self.finder.find(payload)?;
        *place = found;
        self.read(&payload[found..])
    }

    /// The marker at the front.
    fn read(&self, text: &[u8]) -> Option<Mark> {
        let rest = text.strip_prefix(self.finder.needle())?;
        let (stream, rest) = number(rest)?;
        let (index, rest) = number(rest.strip_prefix(b" ")?)?;
        let (intended_ns, rest) = number(rest.strip_prefix(b" ")?)?;
        let bounded = |number: u64, bound: u32| u32::try_from(number).ok().filter(|number| *number < bound);
        rest.starts_with(b" ").then_some(Mark {
            stream: bounded(stream, u32::MAX)?,
            index: bounded(index, limits::EVENTS_MAX)?,
            intended_ns,
        })
    }
}

/// The number at the front, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    let mut digits = 0;
    while let Some(digit) = bytes.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        digits += 1;
    }
    (digits > 0).then(|| (number, &bytes[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_again() {
        let marker = Marker::new("abc1");
        let mark = Mark { stream: 3, index: 7, intended_ns: 1_700_000_000_123_456_789 };
        let content = marker.content(mark, 120);
        assert_eq!(content.len(), 120);
        let payload = format!("{{\"content\":\"{content}\",\"id\":\"1\"}}");
        assert_eq!(marker.find(payload.as_bytes()), Some(mark));
        let mut place = 5;
        assert_eq!(marker.find_near(payload.as_bytes(), &mut place), Some(mark));
        assert_eq!(place, 12);
        assert_eq!(marker.find_near(payload.as_bytes(), &mut place), Some(mark));
        assert_eq!(marker.find_near(format!("..{payload}").as_bytes(), &mut place), Some(mark));
        assert_eq!(marker.find_near(b"{}", &mut place), None);
    }

    #[test]
    fn markers_of_other_runs_are_not_ours() {
        let content = Marker::new("abc1").content(Mark { stream: 0, index: 7, intended_ns: 1 }, 0);
        assert_eq!(Marker::new("abc2").find(content.as_bytes()), None);
        for text in ["gh abc1 x 1 1 ", "gh abc1 1 x 1 ", "gh abc1 1 1 1", "gh abc1 1 99999999999 1 ", "gh abc1 1 1 "] {
            assert_eq!(Marker::new("abc1").find(text.as_bytes()), None, "{text}");
        }
    }
}

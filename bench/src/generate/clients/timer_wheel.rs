//! When a session has something to do next: one time for each, in a wheel of short lists.
//!
//! A session costs twelve bytes however often its time is set. Times are rounded up to the wheel's step.

/// One step, in nanoseconds.
const STEP_NS: u64 = 8_000_000;
/// Lists. A turn of the wheel takes 65 s; what is due later passes by and is left where it is.
const LISTS: usize = 8_192;
/// No session.
const NONE: u32 = u32::MAX;

/// One session's place.
#[derive(Debug, Clone, Copy)]
struct FixtureGuild {
    previous: u32,
    next: u32,
    /// The step at which it is due; [`NONE`] if it has no time.
    due: u32,
}

/// All times of a thread's sessions.
#[derive(Debug)]
pub struct TimerWheel {
    places: Vec<FixtureGuild>,
    first: Vec<u32>,
    began_ns: u64,
    /// The last step that was looked at.
    step: u32,
}

impl TimerWheel {
    /// A wheel for so many sessions, none of which has a time.
    pub fn new(sessions: usize, now_ns: u64) -> TimerWheel {
        TimerWheel {
            places: vec![FixtureGuild { previous: NONE, next: NONE, due: NONE }; sessions],
            first: vec![NONE; LISTS],
            began_ns: now_ns,
            step: 0,
        }
    }

    /// A session's time; it replaces the one before.
    pub fn set(&mut self, at: usize, due_ns: u64) {
        self.clear(at);
        let due = due_ns.saturating_sub(self.began_ns).div_ceil(STEP_NS).min(u64::from(NONE - 1)) as u32;
        let due = due.max(self.step + 1);
        let list = due as usize % LISTS;
        let next = std::mem::replace(&mut self.first[list], at as u32);
        if next != NONE {
            self.places[next as usize].previous = at as u32;
        }
        self.places[at] = FixtureGuild { previous: NONE, next, due };
    }

    /// The session has nothing to do.
    pub fn clear(&mut self, at: usize) {
        let FixtureGuild { previous, next, due } = self.places[at];
        if due == NONE {
            return;
        }
        match previous {
            NONE => self.first[due as usize % LISTS] = next,
            previous => self.places[previous as usize].next = next,
        }
        if next != NONE {
            self.places[next as usize].previous = previous;
        }
        self.places[at] = FixtureGuild { previous: NONE, next: NONE, due: NONE };
    }

    /// Takes the sessions whose time has come.
    pub fn expire(&mut self, now_ns: u64, expired: &mut Vec<u32>) {
        let now = (now_ns.saturating_sub(self.began_ns) / STEP_NS).min(u64::from(NONE - 1)) as u32;
        while self.step < now {
            // After a sleep of more than a turn of the wheel each list is visited once.
            self.step = (self.step + 1).max(now.saturating_sub(LISTS as u32 - 1));
            let mut at = self.first[self.step as usize % LISTS];
            while at != NONE {
                let FixtureGuild { next, due, .. } = self.places[at as usize];
                if due <= now {
                    self.clear(at as usize);
                    expired.push(at);
                }
                at = next;
            }
        }
    }

    /// When the next time may come, if that is before `limit_ns`; else that.
    pub fn next_ns(&self, limit_ns: u64) -> u64 {
        let ends = (1..).map(|ahead| self.step + ahead).map(|step| (step, self.began_ns + u64::from(step) * STEP_NS));
        let mut soon = ends.take_while(|(_, ns)| *ns < limit_ns);
        soon.find(|(step, _)| self.first[*step as usize % LISTS] != NONE).map_or(limit_ns, |(_, ns)| ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Chance;

    #[test]
    fn everybody_is_called_once_in_time_and_never_early() {
        let mut chance = Chance::new(1);
        let mut wheel = TimerWheel::new(500, 1_000);
        let mut due = vec![None; 500];
        let mut now = 1_000;
        let mut expired = Vec::new();
        let mut calls = 0;
        for _ in 0..20_000 {
            let at = chance.between(0, 500) as usize;
            if chance.share() < 0.2 {
                wheel.clear(at);
                due[at] = None;
            } else {
                let when = now + chance.between(0, 200_000_000_000);
                wheel.set(at, when);
                due[at] = Some(when);
            }
            now += chance.between(0, 100_000_000);
            wheel.expire(now, &mut expired);
            for at in expired.drain(..) {
                let when = due[at as usize].take().expect("it had a time");
                assert!(when <= now && now - when < 100_000_000 + 2 * STEP_NS);
                calls += 1;
            }
            assert!(due.iter().flatten().all(|when| *when + 2 * STEP_NS > now));
        }
        assert!(calls > 1_000);
        now += 10 * LISTS as u64 * STEP_NS;
        wheel.expire(now, &mut expired);
        assert_eq!(expired.len(), due.iter().flatten().count());
    }

    #[test]
    fn the_next_time_is_known_a_little_ahead() {
        let mut wheel = TimerWheel::new(2, 0);
        assert_eq!(wheel.next_ns(20_000_000), 20_000_000);
        wheel.set(1, 12_000_000);
        assert_eq!(wheel.next_ns(20_000_000), 16_000_000);
        assert_eq!(wheel.next_ns(10_000_000), 10_000_000);
    }
}

//! How far one thread's sessions are with the task that the run asked of them.
//!
//! One task replaces the other. It takes a byte for each session, for as long as it lasts.

use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use crate::base::times::{coarse, record};
use crate::generate::clients::member_lists::Lists;
use crate::generate::clients::progress_board::TaskStatus;
use crate::generate::clients::task::{Task, TaskAction};
use crate::wire::payload;

/// How far a thread's sessions are with an task.
#[derive(Debug)]
pub struct TaskRun {
    /// The task's number; 0: there has been none.
    pub number: u32,
    /// The task.
    pub task: Task,
    /// The place of the session that is asked next.
    pub next: usize,
    /// The rows of those who look at member lists.
    pub lists: Lists,
    first: u32,
    /// By session: what it still has to do, or how often it has done it. Empty: no session is asked.
    marks: Vec<u8>,
    asked: u32,
    done: u32,
    again: u32,
    last_ns: u64,
    took: Histogram<u64>,
}

impl TaskRun {
    /// No task yet. The thread's sessions begin with this one.
    pub fn new(first: u32) -> TaskRun {
        TaskRun {
            number: 0,
            task: Task::default(),
            next: usize::MAX,
            lists: Lists::default(),
            first,
            marks: Vec::new(),
            asked: 0,
            done: 0,
            again: 0,
            last_ns: 0,
            took: coarse(),
        }
    }

    /// The next task begins. Gives back how long those of the last took.
    pub fn begin(&mut self, number: u32, task: Task, sessions: usize) -> (u32, Histogram<u64>) {
        let before = (self.number, std::mem::replace(&mut self.took, coarse()));
        (self.number, self.task, self.next) = (number, task, 0);
        (self.asked, self.done, self.again, self.last_ns) = (0, 0, 0, 0);
        self.marks =
            if matches!(task.action, TaskAction::Rest | TaskAction::Check(_)) { Vec::new() } else { vec![0; sessions] };
        if !task.action.keeps_lists() {
            self.lists = Lists::default();
        }
        before
    }

    /// A session was asked; it is done after so many steps.
    pub fn ask(&mut self, session: u32, steps: u8, now_ns: u64) {
        self.asked += 1;
        if steps == 0 {
            return self.finish(now_ns, None);
        }
        let at = self.place(session);
        self.marks[at] = steps;
    }

    /// Whether a session has been asked and is not done.
    pub fn awaits(&self, session: u32) -> bool {
        match self.task.action {
            TaskAction::Subscribe(_)
            | TaskAction::Cut
            | TaskAction::Freeze
            | TaskAction::Thaw
            | TaskAction::Scroll(_) => self.marks.get(self.place(session)).is_some_and(|mark| *mark > 0),
            TaskAction::Rest | TaskAction::AwaitUnread(_) | TaskAction::SetStatus(_) | TaskAction::Check(_) => false,
        }
    }

    /// A session has done a step of what it was asked to do; it took so long, if that is of interest.
    pub fn step(&mut self, session: u32, now_ns: u64, took_ns: Option<u64>) {
        let at = self.place(session);
        if let Some(mark) = self.marks.get_mut(at).filter(|mark| **mark > 0) {
            *mark -= 1;
            if *mark == 0 {
                self.finish(now_ns, took_ns);
            }
        }
    }

    /// A session has done all that it was asked to do.
    pub fn complete(&mut self, session: u32, now_ns: u64, took_ns: Option<u64>) {
        if self.awaits(session) {
            let at = self.place(session);
            self.marks[at] = 0;
            self.finish(now_ns, took_ns);
        }
    }

    /// A heartbeat of a session was acknowledged.
    pub fn acknowledge(&mut self, session: u32, now_ns: u64) {
        if matches!(self.task.action, TaskAction::Subscribe(_) | TaskAction::Thaw) {
            self.step(session, now_ns, None);
        }
    }

    /// A session was told what is unread.
    pub fn note_unread(&mut self, session: u32, d: &[u8], now_ns: u64) {
        let TaskAction::AwaitUnread(after) = self.task.action else { return };
        if !self.task.part.has(session) || payload::last_message(d).is_none_or(|last| last <= after) {
            return;
        }
        let at = self.place(session);
        let mark = &mut self.marks[at];
        *mark = mark.saturating_add(1);
        if *mark == 1 {
            self.finish(now_ns, None);
        } else {
            self.again += 1;
        }
    }

    /// Tells how far it is.
    pub fn post(&self, status: &TaskStatus, sessions: usize) {
        status.asked.store(self.asked, Ordering::Relaxed);
        status.done.store(self.done, Ordering::Relaxed);
        status.again.store(self.again, Ordering::Relaxed);
        status.last_ns.store(self.last_ns, Ordering::Relaxed);
        status.asked_all.store(u8::from(self.next >= sessions), Ordering::Relaxed);
        status.number.store(self.number, Ordering::Release);
    }

    fn place(&self, session: u32) -> usize {
        (session - self.first) as usize
    }

    fn finish(&mut self, now_ns: u64, took_ns: Option<u64>) {
        self.done += 1;
        self.last_ns = now_ns;
        if let Some(took_ns) = took_ns {
            record(&mut self.took, took_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::clients::task::Subset;

    fn standing(round: &TaskRun) -> (u32, u32, u32) {
        (round.asked, round.done, round.again)
    }

    #[test]
    fn an_errand_is_done_when_a_heartbeat_behind_it_is_acknowledged() {
        let mut round = TaskRun::new(100);
        round.begin(1, Task { action: TaskAction::Subscribe(5), part: Subset::ALL }, 4);
        round.acknowledge(101, 1);
        assert_eq!(standing(&round), (0, 0, 0), "nobody was asked");
        round.ask(101, 1, 2);
        round.ask(102, 2, 2); // a heartbeat was under way already
        assert!(round.awaits(101) && round.awaits(102) && !round.awaits(103));
        round.acknowledge(101, 3);
        round.acknowledge(102, 4);
        assert_eq!(standing(&round), (2, 1, 0));
        round.acknowledge(101, 5);
        round.acknowledge(102, 6);
        assert_eq!((standing(&round), round.last_ns), ((2, 2, 0), 6));
    }

    #[test]
    fn what_is_unread_is_heard_once() {
        let mut round = TaskRun::new(0);
        round.begin(1, Task { action: TaskAction::AwaitUnread(76), part: Subset::one_in(2, 1) }, 4);
        let update =
            |id: u32| format!(r#"{{"channel_unread_updates":[{{"id":"1","last_message_id":"{id}"}}]}}}}"#).into_bytes();
        round.note_unread(1, &update(76), 1);
        round.note_unread(0, &update(77), 1);
        assert_eq!(standing(&round), (0, 0, 0), "another message, or somebody who is not asked");
        round.note_unread(1, &update(77), 2);
        round.note_unread(3, &update(77), 3);
        round.note_unread(1, &update(77), 4);
        assert_eq!((standing(&round), round.last_ns), ((0, 2, 1), 3));
    }
}

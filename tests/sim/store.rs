//! The simulated store: the real one, in memory, behind a disk that is late, fails a commit now and then, and survives.
//!
//! It keeps what the real service promises: commits are made and answered in the order of submission; a query that was
//! submitted after a commit's answer sees the commit. Apart from that, answers come in any order.

use std::collections::VecDeque;

use guildhall::base::id::{GuildId, UserId};
use guildhall::base::prng::Prng;
use guildhall::base::virtual_shard::VirtualShard;
use guildhall::mail::local::Local;
use guildhall::store::backend::Backend;
use guildhall::store::database;
use guildhall::store::service::Work;
use guildhall::store::{Commit, Found, Query, StoreError, Write};

use crate::plant::Plant;
use crate::report::Report;

/// A commit that was made; until its core has heard of it the oracle does not count it.
#[derive(Debug)]
pub struct Made {
    pub core: usize,
    pub job: u64,
    pub commit: Commit,
}

#[derive(Debug)]
struct Asked {
    core: usize,
    job: u64,
    query: Query,
    found: Option<Result<Found, StoreError>>,
}

/// The store and its queues.
pub struct SimStore {
    kept: Box<dyn Backend>,
    commits: VecDeque<(usize, u64, Commit)>,
    queries: Vec<Asked>,
    answers: VecDeque<(usize, Local)>,
    /// Commits made that their cores have not heard of, in the order of making.
    pub unheard: VecDeque<Made>,
    /// Of a thousand commits so many fail.
    pub failing: u64,
    pub plant: Option<Plant>,
}

impl SimStore {
    pub fn new(failing: u64, plant: Option<Plant>) -> SimStore {
        SimStore {
            kept: database::in_memory().expect("a database in memory opens"),
            commits: VecDeque::new(),
            queries: Vec::new(),
            answers: VecDeque::new(),
            unheard: VecDeque::new(),
            failing,
            plant,
        }
    }

    /// Writes beside the cores, before they start.
    pub fn prepare(&mut self, writes: Vec<Write>) {
        let results = self.kept.commit(&[Commit::of(VirtualShard::hashed(0), writes)]);
        assert!(results.iter().all(Result::is_ok), "the world can be prepared: {results:?}");
    }

    /// Looks at what is kept, beside the cores.
    pub fn look(&mut self, query: &Query) -> Found {
        self.kept.read(query).expect("the store answers")
    }

    /// Takes a job of a core's.
    pub fn submit(&mut self, core: usize, job: u64, work: Work) {
        match work {
            Work::Commit(commit) => self.commits.push_back((core, job, commit)),
            Work::Query(query) => self.queries.push(Asked { core, job, query, found: None }),
            Work::Password(_) => panic!("a shard has no passwords"),
        }
    }

    /// Does some of the work and gives some of the answers, each with the core that it is for.
    pub fn proceed(&mut self, prng: &mut Prng, report: &mut Report, mut deliver: impl FnMut(usize, Local)) {
        if prng.chance(2, 3) {
            let group = (1 + prng.below(6) as usize).min(self.commits.len());
            self.commit(group, prng, report);
        }
        for asked in &mut self.queries {
            if asked.found.is_none() && !looks_ahead(&asked.query, &self.unheard) && prng.chance(1, 2) {
                asked.found = Some(match (self.plant, &asked.query) {
                    (Some(Plant::SamePage), Query::MembersListed { guild, .. }) if prng.chance(1, 2) => {
                        self.kept.read(&Query::MembersListed { guild: *guild, after: UserId::new(0) })
                    }
                    (_, query) => self.kept.read(query),
                });
                if self.plant == Some(Plant::ShortPage)
                    && let Some(Ok(Found::Listed(Some(listed)))) = &mut asked.found
                {
                    let mut members: Vec<serde_json::Value> =
                        serde_json::from_slice(&listed.json).expect("a page is JSON");
                    members.pop();
                    listed.json = serde_json::to_vec(&members).expect("so is what is left");
                }
            }
        }
        while !self.queries.is_empty() && prng.chance(3, 4) {
            let index = prng.below(self.queries.len() as u64) as usize;
            if self.queries[index].found.is_some() {
                let asked = self.queries.swap_remove(index);
                let result = asked.found.expect("looked at just now").map(Some);
                deliver(asked.core, Local::Stored { job: asked.job, result });
            }
        }
        while !self.answers.is_empty() && prng.chance(2, 3) {
            let (core, letter) = self.answers.pop_front().expect("not empty");
            deliver(core, letter);
        }
    }

    /// A core has heard of its commit: the oracle may count it now.
    pub fn heard(&mut self, core: usize, job: u64) -> Option<Vec<Write>> {
        let index = self.unheard.iter().position(|made| (made.core, made.job) == (core, job))?;
        self.unheard.remove(index).map(|made| made.commit.writes)
    }

    /// A guild was loaded before its founding core heard that it is founded: it counts from here on.
    pub fn loaded(&mut self, guild: GuildId) -> Option<Vec<Write>> {
        let founds =
            |made: &Made| matches!(made.commit.writes.first(), Some(Write::PutGuild(found)) if found.id == guild);
        let index = self.unheard.iter().position(founds)?;
        self.unheard.remove(index).map(|made| made.commit.writes)
    }

    /// The process is killed: what waits is lost, what was made stays.
    pub fn crash(&mut self) {
        self.commits.clear();
        self.queries.clear();
        self.answers.clear();
    }

    pub fn is_idle(&self) -> bool {
        self.commits.is_empty() && self.queries.is_empty() && self.answers.is_empty()
    }

    fn commit(&mut self, group: usize, prng: &mut Prng, report: &mut Report) {
        let mut results = Vec::new();
        let mut run = Vec::new();
        for (core, job, commit) in self.commits.drain(..group) {
            let fails = prng.below(1_000) < self.failing;
            let lost = match self.plant {
                Some(Plant::LoseCommit) => prng.chance(1, 10),
                Some(Plant::EarlyAck) => prng.chance(1, 4),
                _ => false,
            };
            if !fails && !lost {
                run.push(commit.clone());
            }
            results.push((core, job, commit, fails, lost));
        }
        let mut made = if run.is_empty() { Vec::new() } else { self.kept.commit(&run) }.into_iter();
        self.kept.sweep().expect("a slice is swept");
        let mut late = Vec::new();
        for (core, job, commit, fails, lost) in results {
            let result = if fails {
                report.commits_failed += 1;
                Err(StoreError::Failed("the simulated disk".to_owned()))
            } else if lost {
                if self.plant == Some(Plant::EarlyAck) {
                    late.push((usize::MAX, 0, commit.clone()));
                }
                Ok(())
            } else {
                made.next().expect("one result per commit")
            };
            if result.is_ok() {
                report.commits += 1;
                // An early acknowledgement is made later, for nobody.
                if core != usize::MAX {
                    self.unheard.push_back(Made { core, job, commit });
                }
            }
            if core != usize::MAX {
                self.answers.push_back((core, Local::Stored { job, result: result.map(|()| None) }));
            }
        }
        self.commits.extend(late);
    }
}

/// A member is read without the roles that are gone. Read between a role's being deleted in the store and the guild's
/// hearing of it, the member is ahead of its guild by that role, for as long as the answer to the commit takes. It
/// loses what it is about to lose anyway, so this is let pass: the oracle would have to know when each member was read.
fn looks_ahead(query: &Query, unheard: &VecDeque<Made>) -> bool {
    let Query::Member(guild, _) = query else { return false };
    let deletes = |write: &Write| matches!(write, Write::DeleteRole(of, _) if of == guild);
    unheard.iter().any(|made| made.commit.writes.iter().any(deletes))
}

//! Recordings are numbered as people turn up; declared traces have those who are there first, and those who join last.
//! This finds out who is what from what they do first, and numbers them anew.

use crate::model::trace::{Action, Guild, Line, Trace};

/// What is known of a person after some lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Did nothing yet.
    Silent,
    /// Acted without having connected or joined before: was there from the beginning.
    Present,
    /// Has connected, and nothing else yet.
    Connecting,
    /// Connected before anything else, and was a member then.
    Late,
    /// Joined before anything else in the guild.
    Joiner,
}

#[derive(Debug, Clone, Copy)]
struct Person {
    standing: Standing,
    /// The smallest share of the hidden channels that this person used; 2 if there was none.
    share: f64,
    /// The number that the person gets.
    number: u32,
}

const STRANGER: Person = Person { standing: Standing::Silent, share: 2.0, number: 0 };

/// Numbers the people of a recording as `docs/TRACE.md` says, and fills `sessions`, `present`, `joining` and the shares
/// of the channels accordingly. Returns what had to be left out, in sentences.
pub fn complete(trace: &mut Trace) -> Vec<String> {
    let mut fixtures: Vec<Vec<Person>> =
        trace.guilds.iter().map(|guild| vec![STRANGER; guild.sessions as usize]).collect();
    for line in &trace.actions {
        meet(&trace.guilds, &mut fixtures, &line.action);
    }
    for (guild, people) in trace.guilds.iter_mut().zip(&mut fixtures) {
        number(guild, people);
    }
    raise_shares(trace, &fixtures);

    // Those who use hidden channels are there from the beginning: their first arrival is left out.
    let mut early = 0_u64;
    let mut arriving: Vec<Vec<bool>> = fixtures
        .iter()
        .map(|people| {
            people
                .iter()
                .map(|person| person.share <= 1.0 && matches!(person.standing, Standing::Late | Standing::Joiner))
                .collect()
        })
        .collect();
    let mut kept = Vec::with_capacity(trace.actions.len());
    for mut line in std::mem::take(&mut trace.actions) {
        if let Some((guild, who)) = line.action.person() {
            let arrives = &mut arriving[guild as usize][who as usize];
            match line.action {
                Action::Connect { .. } | Action::Join { .. } if *arrives => {
                    early += 1;
                    continue;
                }
                _ => *arrives = false,
            }
            rename(&mut line.action, fixtures[guild as usize][who as usize].number);
        }
        kept.push(line);
    }
    trace.actions = kept;
    trace.header.lasts = Some(trace.lasts());
    if early == 0 {
        return Vec::new();
    }
    vec![format!("{early} arrivals left out: who uses hidden channels is there from the beginning")]
}

fn meet(guilds: &[Guild], fixtures: &mut [Vec<Person>], action: &Action) {
    let Some((guild, who)) = action.person() else { return };
    let people = &mut fixtures[guild as usize];
    if people.len() <= who as usize {
        people.resize(who as usize + 1, STRANGER);
    }
    let person = &mut people[who as usize];
    person.standing = match (person.standing, action) {
        (Standing::Silent, Action::Connect { .. }) => Standing::Connecting,
        (Standing::Silent | Standing::Connecting, Action::Join { .. }) => Standing::Joiner,
        (Standing::Silent, _) => Standing::Present,
        (Standing::Connecting, Action::Connect { .. }) => Standing::Connecting,
        (Standing::Connecting, _) => Standing::Late,
        (known, _) => known,
    };
    if let Some((_, channel)) = action.channel()
        && let Some(share) = guilds[guild as usize].channels.get(channel as usize).and_then(|channel| channel.share)
    {
        person.share = person.share.min(share);
    }
}

fn number(guild: &mut Guild, people: &mut [Person]) {
    // A session that connected and did nothing else came late.
    for person in people.iter_mut().filter(|person| person.standing == Standing::Connecting) {
        person.standing = Standing::Late;
    }
    let mut order: Vec<usize> = (0..people.len()).collect();
    let rank = |person: &Person| match person.standing {
        _ if person.share <= 1.0 => 0,
        Standing::Present => 1,
        Standing::Silent => 2,
        Standing::Connecting | Standing::Late => 3,
        Standing::Joiner => 4,
    };
    order.sort_by(|a, b| {
        let (a, b) = (&people[*a], &people[*b]);
        rank(a).cmp(&rank(b)).then(a.share.total_cmp(&b.share))
    });
    for (number, who) in order.into_iter().enumerate() {
        people[who].number = number as u32;
    }
    let count = |least: u8| people.iter().filter(|person| rank(person) >= least).count() as u32;
    guild.sessions = people.len() as u32;
    guild.joining = count(4);
    guild.present = (count(3) > 0).then(|| guild.sessions - count(3));
    guild.members = guild.members.max(u64::from(guild.sessions - guild.joining));
}

/// A hidden channel's share covers every session that used it.
fn raise_shares(trace: &mut Trace, fixtures: &[Vec<Person>]) {
    for Line { action, .. } in &trace.actions {
        let (Some((guild, who)), Some((_, channel))) = (action.person(), action.channel()) else { continue };
        let guild = &mut trace.guilds[guild as usize];
        let number = fixtures[guild.guild as usize][who as usize].number;
        if number < guild.viewers(channel) {
            continue;
        }
        let sessions = f64::from(guild.sessions);
        if let Some(share) = guild.channels.get_mut(channel as usize).and_then(|channel| channel.share.as_mut()) {
            *share = f64::from(number + 1) / sessions;
        }
    }
}

fn rename(action: &mut Action, number: u32) {
    match action {
        Action::Message { who, .. }
        | Action::React { who, .. }
        | Action::Unreact { who, .. }
        | Action::Typing { who, .. }
        | Action::History { who, .. }
        | Action::Presence { who, .. }
        | Action::Join { who, .. }
        | Action::Leave { who, .. }
        | Action::Voice { who, .. }
        | Action::Scroll { who, .. }
        | Action::Connect { who, .. }
        | Action::Close { who, .. }
        | Action::Cut { who, .. } => *who = number,
        Action::Guild(_)
        | Action::Edit { .. }
        | Action::Delete { .. }
        | Action::ChannelCreate { .. }
        | Action::ChannelDelete { .. }
        | Action::Storm { .. }
        | Action::Lost { .. } => {}
    }
}

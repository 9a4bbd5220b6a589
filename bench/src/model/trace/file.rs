//! Traces as files: JSON lines, compressed with zstd. Both directions stream; see `docs/TRACE.md`.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::base::limits;
use crate::model::trace::line::Parsed;
use crate::model::trace::{Action, Guild, Header, Line, Trace, VERSION, line, recording};

/// Why a trace cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In which file; empty if it is none.
    pub file: String,
    /// In which line, from 1; 0: not in any.
    pub line: u64,
    /// What.
    pub what: String,
}

impl Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(out, "{}: ", self.file)?;
        }
        if self.line > 0 {
            write!(out, "line {}: ", self.line)?;
        }
        out.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

/// A trace that was read, and what is worth knowing about the reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The trace, in order: recordings are numbered as declared traces are.
    pub trace: Trace,
    /// What was left out or put right, in sentences.
    pub warnings: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read, is no trace, or contradicts itself; names the line.
pub fn read(path: &Path) -> Result<Reading, Fault> {
    let named = |fault: Fault| Fault { file: path.display().to_string(), ..fault };
    let file = File::open(path).map_err(|error| named(fault(0, error)))?;
    read_from(file).map_err(named)
}

/// Reads whatever can be read, compressed or not.
///
/// # Errors
/// See [`read`].
pub fn read_from(source: impl Read) -> Result<Reading, Fault> {
    let mut source = BufReader::with_capacity(limits::READ_BYTES, source);
    let begin = source.fill_buf().map_err(|error| fault(0, error))?;
    if begin.starts_with(&ZSTD_MAGIC) {
        let unpacked = zstd::Decoder::with_buffer(source).map_err(|error| fault(0, error))?;
        read_lines(BufReader::with_capacity(limits::READ_BYTES, unpacked))
    } else {
        read_lines(source)
    }
}

/// Writes a file, compressed.
///
/// # Errors
/// If it cannot be written.
pub fn write(trace: &Trace, path: &Path) -> Result<(), Fault> {
    let write = || -> io::Result<()> {
        let packed = zstd::Encoder::new(File::create(path)?, limits::TRACE_ZSTD_LEVEL)?;
        let mut out = BufWriter::with_capacity(limits::READ_BYTES, packed);
        write_lines(trace, &mut out)?;
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        file.flush()
    };
    write().map_err(|error| Fault { file: path.display().to_string(), ..fault(0, error) })
}

/// Writes the lines as they are before compression.
///
/// # Errors
/// Those of `out`.
pub fn write_lines(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &trace.header)?;
    out.write_all(b"\n")?;
    for guild in &trace.guilds {
        serde_json::to_writer(&mut *out, &Line { at: 0, action: Action::Guild(Box::new(guild.clone())) })?;
        out.write_all(b"\n")?;
    }
    for line in &trace.actions {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// What every zstd frame begins with (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn fault(line: u64, what: impl Display) -> Fault {
    Fault { file: String::new(), line, what: what.to_string() }
}

fn read_lines(mut source: impl BufRead) -> Result<Reading, Fault> {
    let mut line = Vec::new();
    match next_line(&mut source, &mut line) {
        Ok(true) => {}
        Ok(false) => return Err(fault(0, "the file is empty")),
        Err(error) => return Err(fault(1, error)),
    }
    let header = parse_header(&line).map_err(|what| fault(1, what))?;
    let recorded = header.by == "record";
    let mut reader = Reader { recorded, ..Reader::default() };
    let mut warnings = Vec::new();
    let mut number = 1;
    loop {
        number += 1;
        match next_line(&mut source, &mut line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if recorded && error.kind() == io::ErrorKind::UnexpectedEof => {
                warnings.push(format!("the recording ends in the middle of line {number}"));
                break;
            }
            Err(error) => return Err(fault(number, error)),
        }
        let whole = line.ends_with(b"\n");
        match line::parse(&line) {
            Ok(Parsed::Line(parsed)) => reader.take(parsed).map_err(|what| fault(number, what))?,
            Ok(Parsed::Unknown(name)) => *reader.unknown.entry(name).or_default() += 1,
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) if recorded && !whole => {
                warnings.push(format!("the recording ends in the middle of line {number}"));
            }
            Err(what) => return Err(fault(number, what)),
        }
    }
    warnings.extend(reader.unknown.iter().map(|(name, count)| format!("{count} lines `{name}` left out: not known")));
    let mut trace = Trace { header, guilds: reader.guilds, actions: reader.actions };
    if trace.guilds.is_empty() {
        return Err(fault(0, "no guild is declared"));
    }
    if recorded {
        warnings.extend(recording::complete(&mut trace));
    }
    Ok(Reading { trace, warnings })
}

/// The next line with its end; false: there is none. A line that is too long is an error.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = limits::TRACE_LINE_BYTES_MAX;
    let read = source.take(most as u64 + 1).read_until(b'\n', line)?;
    if read > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {most} bytes")));
    }
    Ok(read > 0)
}

fn parse_header(line: &[u8]) -> Result<Header, String> {
    let value: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| format!("not a trace's first line: {error}"))?;
    if value.get("trace").and_then(|trace| trace.as_str()) != Some("guildhall") {
        return Err("not a trace: the first line has no `\"trace\":\"guildhall\"`".into());
    }
    // Before all other fields: those of later versions may be of other types.
    let version = value.get("version").and_then(serde_json::Value::as_u64).ok_or("no `version`")?;
    if version == 0 || version > u64::from(VERSION) {
        return Err(format!("version {version}: versions up to {VERSION} can be read"));
    }
    let header: Header = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if !matches!(header.by.as_str(), "synth" | "record") {
        return Err(format!("`by` is `{}`: it must be `synth` or `record`", header.by));
    }
    Ok(header)
}

/// What is known while lines come in.
#[derive(Default)]
struct Reader {
    recorded: bool,
    guilds: Vec<Guild>,
    actions: Vec<Line>,
    /// Channels of each guild so far.
    channels: Vec<u32>,
    /// People of each guild so far; they grow only in recordings.
    people: Vec<u32>,
    /// Of all guilds.
    people_sum: u64,
    messages: u32,
    at: u64,
    unknown: BTreeMap<String, u64>,
}

impl Reader {
    fn take(&mut self, line: Line) -> Result<(), String> {
        if line.at < self.at {
            return Err(format!("`at` is {}, the line before it was at {}", line.at, self.at));
        }
        self.at = line.at;
        if let Action::Guild(guild) = line.action {
            return self.declare(*guild);
        }
        self.check(&line.action)?;
        match line.action {
            Action::Message { .. } => {
                self.messages += 1;
                if self.messages > limits::EVENTS_MAX {
                    return Err(format!("more than {} messages", limits::EVENTS_MAX));
                }
            }
            Action::ChannelCreate { guild } => {
                self.channels[guild as usize] += 1;
                if self.channels[guild as usize] > limits::TRACE_CHANNELS_MAX {
                    return Err(format!("more than {} channels in guild {guild}", limits::TRACE_CHANNELS_MAX));
                }
            }
            _ => {}
        }
        if self.actions.len() >= limits::TRACE_ACTIONS_MAX {
            return Err(format!("more than {} lines", limits::TRACE_ACTIONS_MAX));
        }
        self.actions.push(line);
        Ok(())
    }

    /// Whatever it names must be there.
    fn check(&mut self, action: &Action) -> Result<(), String> {
        if let Some(guild) = action.guild()
            && guild as usize >= self.guilds.len()
        {
            return Err(format!("guild {guild} is not declared"));
        }
        if let Some((guild, channel)) = action.channel()
            && channel >= self.channels[guild as usize]
        {
            return Err(format!("guild {guild} has no channel {channel}"));
        }
        if let Some(of) = action.of()
            && of >= self.messages
        {
            return Err(format!("there is no message {of} yet: there are {}", self.messages));
        }
        let Some((guild, who)) = action.person() else { return Ok(()) };
        let people = &mut self.people[guild as usize];
        if who < *people {
            return Ok(());
        }
        if !self.recorded {
            return Err(format!("guild {guild} has no person {who}: its `sessions` are {people}"));
        }
        self.people_sum += u64::from(who - *people) + 1;
        *people = who + 1;
        self.check_people()
    }

    fn check_people(&self) -> Result<(), String> {
        if self.people_sum > limits::TRACE_PEOPLE_MAX {
            return Err(format!("more than {} people who are online at some time", limits::TRACE_PEOPLE_MAX));
        }
        Ok(())
    }

    fn declare(&mut self, guild: Guild) -> Result<(), String> {
        let due = self.guilds.len() as u32;
        if guild.guild != due {
            return Err(format!("guild {} is declared where guild {due} is due", guild.guild));
        }
        if due >= limits::TRACE_GUILDS_MAX {
            return Err(format!("more than {} guilds", limits::TRACE_GUILDS_MAX));
        }
        let sessions = guild.sessions;
        if u64::from(sessions) > guild.members + u64::from(guild.joining) && !self.recorded {
            return Err(format!("`sessions` is {sessions}, but there are only {} members", guild.members));
        }
        if guild.joining > sessions {
            return Err(format!("`joining` is {}, more than the {sessions} `sessions`", guild.joining));
        }
        if let Some(present) = guild.present
            && present > sessions
        {
            return Err(format!("`present` is {present}, more than the {sessions} `sessions`"));
        }
        let mut shares = guild.channels.iter().filter_map(|channel| channel.share).chain([guild.looking]);
        if let Some(share) = shares.find(|share| !(0.0..=1.0).contains(share)) {
            return Err(format!("a share is {share}: shares are from 0 to 1"));
        }
        // Who is there at the beginning of a recording, and who joins, follows from what they do.
        if self.recorded && (guild.first.is_some() || guild.present.unwrap_or(0) > 0 || guild.joining > 0) {
            return Err("recordings know no `first` and no `joining`, and `present` is 0".into());
        }
        let end = u64::from(guild.first.unwrap_or(0)) + u64::from(sessions);
        if guild.channels.len() > limits::TRACE_CHANNELS_MAX as usize || end > limits::TRACE_PEOPLE_MAX {
            return Err(format!(
                "a guild has at most {} channels, and a pool at most {} sessions",
                limits::TRACE_CHANNELS_MAX,
                limits::TRACE_PEOPLE_MAX
            ));
        }
        self.channels.push(guild.channels.len() as u32);
        self.people.push(sessions);
        self.people_sum += u64::from(sessions);
        self.guilds.push(guild);
        self.check_people()
    }
}

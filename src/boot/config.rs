//! Configuration: flags, environment, file, defaults; the first that says something wins, in this order.
//!
//! Lives on: the main thread. Every setting has one name: `--public-url`, `GUILDHALL_PUBLIC_URL`, `public_url` in the
//! file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::base::fatal::Fatal;
use crate::boot::tables::Tables;
use crate::desk::settings::Settings;
use crate::gateway::writer::WriteMode;
use crate::limits;
use crate::operate::data_arg::DataArg;
use crate::shard::Passivity;
use crate::shard::home::admission::Pace;

/// Flags of `serve`; clap takes the environment where a flag is missing.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    data: DataArg,
    /// Address and port to listen on, for REST and the gateway alike.
    #[arg(long, value_name = "ADDR:PORT", env = "GUILDHALL_LISTEN")]
    listen: Option<SocketAddr>,
    /// Shards, each with a thread of its own; as many as there are CPUs by default, more are allowed.
    #[arg(long, value_name = "N", env = "GUILDHALL_CORES")]
    cores: Option<usize>,
    /// Whether all cores share one descriptor table, or each has its own, with a limit of open files of its own.
    #[arg(long, value_name = "WHICH", env = "GUILDHALL_DESCRIPTOR_TABLES")]
    descriptor_tables: Option<Tables>,
    /// How a core hands its writes to the kernel: one by one, or those of a slice together, through an io_uring. By
    /// default what is better for the descriptor tables.
    #[arg(long, value_name = "WAY", env = "GUILDHALL_FLUSH")]
    flush: Option<WriteMode>,
    /// A TOML file with the same settings (`listen = "…"`, `public_url = "…"`).
    #[arg(long, value_name = "FILE", env = "GUILDHALL_CONFIG")]
    config: Option<PathBuf>,
    /// Gateway URL that `GET /gateway` returns, without path, e.g. `wss://chat.example`. By default `ws://` and the
    /// request's host.
    #[arg(long, value_name = "URL", env = "GUILDHALL_PUBLIC_URL")]
    public_url: Option<String>,
    /// Whether people may register accounts over REST.
    #[arg(long, value_name = "BOOL", env = "GUILDHALL_REGISTRATION")]
    registration: Option<bool>,
    /// Whether REST rate limits apply; off for load tests.
    #[arg(long, value_name = "BOOL", env = "GUILDHALL_RATE_LIMITS")]
    rate_limits: Option<bool>,
    /// Requests per second for one user over all routes.
    #[arg(long, value_name = "N", env = "GUILDHALL_GLOBAL_RATE")]
    global_rate: Option<u32>,
    /// In guilds of more members, people's sessions get no messages until they subscribe.
    #[arg(long, value_name = "MEMBERS", env = "GUILDHALL_PASSIVE_ABOVE")]
    passive_above: Option<u64>,
    /// Seconds between two updates of what is unread, for those who get no messages.
    #[arg(long, value_name = "S", env = "GUILDHALL_PASSIVE_UPDATE_SECONDS")]
    passive_update_seconds: Option<u64>,
    /// Identifies per second that each core takes at most; it takes fewer when it does not manage them.
    #[arg(long, value_name = "N", env = "GUILDHALL_IDENTIFY_RATE")]
    identify_rate: Option<u64>,
    /// Resumes per second that each core takes at most; it takes fewer when it does not manage them.
    #[arg(long, value_name = "N", env = "GUILDHALL_RESUME_RATE")]
    resume_rate: Option<u64>,
    /// Seconds that a shutdown may take to send everybody away.
    #[arg(long, value_name = "S", env = "GUILDHALL_DRAIN_SECONDS")]
    drain_seconds: Option<u64>,
    /// Record a trace of the traffic, without texts and ids, into a new file (JSON lines, zstd), for `guildhall-bench
    /// replay`.
    #[arg(long, value_name = "FILE", env = "GUILDHALL_RECORD_TRACE")]
    record_trace: Option<PathBuf>,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `guildhall::store=debug,info`.
    #[arg(long, value_name = "FILTER", env = "GUILDHALL_LOG")]
    log: Option<String>,
    /// How it is logged: `text` or `json`.
    #[arg(long, value_name = "FORM", env = "GUILDHALL_LOG_FORMAT")]
    log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    cores: Option<usize>,
    descriptor_tables: Option<Tables>,
    flush: Option<WriteMode>,
    public_url: Option<String>,
    registration: Option<bool>,
    rate_limits: Option<bool>,
    global_rate: Option<u32>,
    passive_above: Option<u64>,
    passive_update_seconds: Option<u64>,
    identify_rate: Option<u64>,
    resume_rate: Option<u64>,
    drain_seconds: Option<u64>,
    record_trace: Option<PathBuf>,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

/// What `serve` runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// Address and port.
    pub listen: SocketAddr,
    /// Shards.
    pub cores: usize,
    /// Who has which descriptor table.
    pub descriptor_tables: Tables,
    /// How writes are handed to the kernel, if it is said.
    pub flush: Option<WriteMode>,
    /// Settings of the doors.
    pub settings: Settings,
    /// Who gets no messages until it subscribes.
    pub passivity: Passivity,
    /// How many may identify and resume.
    pub pace: Pace,
    /// Seconds for a drain.
    pub drain_seconds: u64,
    /// Where the traffic is recorded, if it is.
    pub record_trace: Option<PathBuf>,
    /// Log filter.
    pub log: String,
    /// Log form.
    pub log_format: LogFormat,
}

impl Config {
    /// Puts flags, environment, file and defaults together.
    pub fn read(args: ServeArgs) -> Result<Config, Fatal> {
        let file = match &args.config {
            Some(path) => read_file(path)?,
            None => File::default(),
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = args.cores.or(file.cores).unwrap_or(cpus);
        if !(1..=limits::CORES_MAX).contains(&cores) {
            return Err(Fatal(format!("cores must be between 1 and {}, not {cores}", limits::CORES_MAX)));
        }
        let data = args.data.data.or(file.data);
        let Some(data) = data else {
            return Err(Fatal("no data directory: say where with --data DIR".to_owned()));
        };
        Ok(Config {
            data,
            listen: args.listen.or(file.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            cores,
            descriptor_tables: args.descriptor_tables.or(file.descriptor_tables).unwrap_or(Tables::Shared),
            flush: args.flush.or(file.flush),
            settings: Settings {
                public_gateway_url: args.public_url.or(file.public_url),
                registration: args.registration.or(file.registration).unwrap_or(true),
                rate_limits: args.rate_limits.or(file.rate_limits).unwrap_or(true),
                global_rate: args.global_rate.or(file.global_rate).unwrap_or(50),
            },
            passivity: Passivity {
                above: args.passive_above.or(file.passive_above).unwrap_or(limits::PASSIVE_ABOVE),
                every: Duration::from_secs(
                    args.passive_update_seconds
                        .or(file.passive_update_seconds)
                        .map_or(limits::PASSIVE_UPDATE_TIME.as_secs(), |seconds| seconds.max(1)),
                ),
            },
            pace: Pace {
                identifies: args.identify_rate.or(file.identify_rate).unwrap_or(limits::IDENTIFY_RATE_MAX),
                resumes: args.resume_rate.or(file.resume_rate).unwrap_or(limits::RESUME_RATE_MAX),
                line: limits::ADMISSION_LINE_MAX,
            },
            drain_seconds: args.drain_seconds.or(file.drain_seconds).unwrap_or(10),
            record_trace: args.record_trace.or(file.record_trace),
            log: args.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: args.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
        })
    }
}

fn read_file(path: &Path) -> Result<File, Fatal> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fatal(format!("cannot read the configuration {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        // toml's first line names the place, the message names the key.
        Fatal(format!("the configuration {} is wrong: {}", path.display(), error.message().replace('\n', " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn with_file(text: &str, flags: &[&str]) -> Result<Config, Fatal> {
        let directory = std::env::temp_dir().join(format!("guildhall-config-{}-{:p}", std::process::id(), text));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("guildhall.toml");
        std::fs::write(&path, text).unwrap();
        let mut all = vec!["x", "--data", "/d", "--config", path.to_str().unwrap()];
        all.extend(flags);
        let config = Config::read(Flags::parse_from(all).serve);
        std::fs::remove_dir_all(&directory).unwrap();
        config
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let config =
            with_file("listen = \"127.0.0.1:1\"\ncores = 3\nrate_limits = false\n", &["--cores", "5"]).unwrap();
        assert_eq!((config.cores, config.listen.port(), config.settings.rate_limits), (5, 1, false));
        assert_eq!(config.descriptor_tables, Tables::Shared);
        let config = with_file("descriptor_tables = \"private\"\n", &[]).unwrap();
        assert_eq!((config.descriptor_tables, config.flush), (Tables::Private, None));
        let config = with_file("flush = \"batched\"\n", &[]).unwrap();
        assert_eq!(config.flush, Some(WriteMode::Batched));
        assert!(config.settings.registration);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = with_file("lisen = \"127.0.0.1:1\"\n", &[]).unwrap_err();
        assert!(error.0.contains("lisen"), "{error}");
        let error = with_file("cores = 0\n", &[]).unwrap_err();
        assert!(error.0.contains("between 1 and"), "{error}");
    }
}

//! The server as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running server; killed when dropped.
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// How a server ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed after its first line.
    pub stdout: String,
    /// From the signal to the end.
    pub took: Duration,
}

/// The program under test: built by `cargo build --release` beside this test, or `GUILDHALL_PROGRAM`.
pub fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("GUILDHALL_PROGRAM") {
        return program.into();
    }
    let test = std::env::current_exe().expect("a test knows its program");
    let program = test.parent().and_then(Path::parent).expect("target/release/deps/test").join("guildhall");
    assert!(program.exists(), "{} is missing: build it first (cargo build --release)", program.display());
    program
}

/// Runs `guildhall admin` on a data directory and reads its JSON.
pub fn admin(data: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(program())
        .args(["admin", "--json", "--data"])
        .arg(data)
        .args(arguments)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "admin {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("admin --json prints JSON")
}

/// Runs `guildhall admin import` on a data directory with these lines, and flags behind them.
pub fn import(data: &Path, lines: &str, flags: &[&str]) -> Output {
    let mut child = Command::new(program())
        .args(["admin", "--json", "--data"])
        .arg(data)
        .args(["import", "-"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // It may refuse before it has read all.
    let _ = child.stdin.take().expect("it was piped").write_all(lines.as_bytes());
    child.wait_with_output().expect("it is our child")
}

impl Server {
    /// Starts a server on a free loopback port and waits until it serves.
    pub fn start(data: &Path, cores: usize, flags: &[&str]) -> Server {
        Server::start_at(data, cores, "127.0.0.1:0", flags)
    }

    /// The same, at an address.
    pub fn start_at(data: &Path, cores: usize, listen: &str, flags: &[&str]) -> Server {
        Server::begin(Command::new(program()), data, cores, listen, flags)
    }

    /// The same, where a descriptor table has so many places.
    pub fn start_with_open_files(data: &Path, cores: usize, open_files: u32, flags: &[&str]) -> Server {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" \"$@\"")]).arg(program());
        Server::begin(shell, data, cores, "127.0.0.1:0", flags)
    }

    fn begin(mut command: Command, data: &Path, cores: usize, listen: &str, flags: &[&str]) -> Server {
        let mut child = command
            .args(["serve", "--listen", listen, "--cores", &cores.to_string(), "--data"])
            .arg(data)
            .args(flags)
            .env("GUILDHALL_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it is text");
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("the server did not come up; it said {line:?}"));
        Server { address, child, stdout }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is our child");
    }

    /// Ends it as an operator does, and waits.
    pub fn stop(mut self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> Ended {
        let began = Instant::now();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).expect("it is text");
        let status = self.child.wait().expect("it is our child");
        Ended { code: status.code(), stdout, took: began.elapsed() }
    }

    /// Ends it as a power failure does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

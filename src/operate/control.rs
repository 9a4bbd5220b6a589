//! The control socket: admin commands for a running server.
//!
//! Lives on: a thread of its own, `control`, one command at a time. Only the server's user (and root) can connect.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use flume::Sender;
use serde_json::{Value, json};

use crate::base::fatal::Fatal;
use crate::limits;
use crate::mail::ask::{Answer, Request};
use crate::operate::admin_command::{AdminCommand, AdminContext};
use crate::operate::core_command::CoreCommand;
use crate::store::directory::DataDir;
use crate::store::service::{Caller, Service};
use crate::store::token::Signer;
use crate::wire::refusal::Refusal;

/// The thread, until it is stopped.
#[derive(Debug)]
pub struct Control {
    socket: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Starts listening in the data directory.
pub fn start(
    directory: &DataDir,
    service: &Service,
    cores: &[Sender<CoreCommand>],
    signer: &Signer,
) -> Result<Control, Fatal> {
    let socket = directory.control_socket();
    // This process holds the directory's lock, so a socket that exists was left behind.
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)
        .map_err(|error| Fatal(format!("cannot listen on {}: {error}", socket.display())))?;
    // Whatever the directory and the umask permit: a client of this socket can get a token for any user.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| Fatal(format!("cannot close {} to others: {error}", socket.display())))?;
    let stopping = Arc::new(AtomicBool::new(false));
    let server = ControlServer {
        cores: cores.to_vec(),
        caller: service.caller(),
        database: directory.database(),
        signer: signer.clone(),
    };
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn({
        let stopping = Arc::clone(&stopping);
        move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream
                    && let Err(error) = server.serve(stream)
                {
                    tracing::warn!(%error, "an admin command was cut off");
                }
            }
        }
    });
    let thread = thread.map_err(|error| Fatal(format!("cannot start a thread: {error}")))?;
    Ok(Control { socket, stopping, thread })
}

impl Control {
    /// Accepts no more commands; one under way is finished first.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the thread from its accept. If the socket file was removed the thread cannot be woken; it ends with the
        // process.
        if UnixStream::connect(&self.socket).is_ok() {
            let _ = self.thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

struct ControlServer {
    cores: Vec<Sender<CoreCommand>>,
    caller: Caller,
    database: PathBuf,
    signer: Signer,
}

impl ControlServer {
    fn serve(&self, stream: UnixStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // A client that does not read its answer must not keep the server from ending.
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        let mut line = String::new();
        BufReader::new(stream.try_clone()?.take(limits::ADMIN_COMMAND_BYTES)).read_line(&mut line)?;
        let answer = match serde_json::from_str::<AdminCommand>(&line) {
            Ok(command) => self.run(&command),
            Err(error) => json!({ "error": format!("not a command that this server knows: {error}") }),
        };
        let mut stream = stream;
        stream.write_all(format!("{answer}\n").as_bytes())
    }

    fn run(&self, command: &AdminCommand) -> Value {
        let mut ask = |request: Request| -> Answer {
            let (reply, answer) = flume::bounded(1);
            if self.cores[0].send(CoreCommand::Ask(Box::new(request), reply)).is_err() {
                return Err(Refusal::OVERLOADED);
            }
            answer.recv_timeout(Duration::from_secs(30)).unwrap_or(Err(Refusal::OVERLOADED))
        };
        let database: &Path = &self.database;
        let cores = &self.cores;
        let mut context = AdminContext { ask: &mut ask, caller: &self.caller, database, signer: &self.signer, cores };
        match command.run(&mut context) {
            Ok(answer) => json!({ "ok": answer }),
            Err(fatal) => json!({ "error": fatal.to_string() }),
        }
    }
}

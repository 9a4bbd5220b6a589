//! Admin commands for a running server, through its control socket: one line of JSON each way.
//!
//! Lives on: the command's process.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::base::fatal::Fatal;
use crate::operate::admin_command::AdminCommand;

/// Sends a command to the server that has the data directory. The outer error means that no server answers.
pub fn send(data: &Path, command: &AdminCommand) -> std::io::Result<Result<Value, Fatal>> {
    let mut stream = UnixStream::connect(data.join("control.sock"))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    Ok(match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(Fatal(error.to_owned())),
        None => Ok(answer["ok"].take()),
    })
}

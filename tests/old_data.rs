//! A data directory that an older version wrote opens, and clients see the same in it.
//!
//! `tests/fixtures/version-2.sqlite3` was written by the release before records had a form of their own;
//! `version-2.json` is what that release answered: path, token, status and body of each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_guildhall"))
            .args(["serve", "--listen", "127.0.0.1:0", "--cores", "1", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was piped"))
            .read_line(&mut line)
            .expect("it says where it serves");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        Server { address: address.to_owned(), child }
    }

    /// Status and body. Waits where the server asks for it.
    fn call(&self, method: &str, path: &str, authorization: &str, body: &str) -> (u64, String) {
        loop {
            let mut stream = TcpStream::connect(&self.address).expect("the server listens");
            write!(
                stream,
                "{method} /api/v10{path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: {authorization}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .expect("the server takes requests");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("the server answers");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            if status != 429 {
                return (status, body.to_owned());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_data_directory_of_schema_version_2_opens_and_is_rendered_as_before() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let data = std::env::temp_dir().join(format!("guildhall-old-data-{}", std::process::id()));
    std::fs::create_dir_all(&data).expect("a directory for the test");
    std::fs::copy(fixtures.join("version-2.sqlite3"), data.join("guildhall.sqlite3")).expect("the fixture is there");
    let fixture = std::fs::read_to_string(fixtures.join("version-2.json")).expect("the fixture is there");
    let fixture: Value = serde_json::from_str(&fixture).expect("it is JSON");

    // The second time, the database is a current one.
    for _ in 0..2 {
        let server = Server::start(&data);
        let reads = fixture["reads"].as_array().expect("a list");
        assert!(reads.len() > 50);
        for read in reads {
            let (path, authorization) = (read["path"].as_str().unwrap(), read["authorization"].as_str().unwrap());
            let (status, body) = server.call("GET", path, authorization, "");
            assert_eq!(
                (status, body.as_str()),
                (read["status"].as_u64().unwrap(), read["body"].as_str().unwrap()),
                "{path}"
            );
        }
        let login = &fixture["login"];
        let (status, body) = server.call("POST", "/auth/login", "", &login.to_string());
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["user_id"], login["user_id"]);
    }
    let _ = std::fs::remove_dir_all(&data);
}

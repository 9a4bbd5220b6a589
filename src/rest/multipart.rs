//! Multipart bodies: fields into memory, files into the spool, in any order.
//!
//! Lives on: every core. Source: Discord docs, Reference/Uploading Files; RFC 7578.
//! Memory: the fields, one chunk of a file, and [`limits::MULTIPART_HELD_MAX`] that the parser has not yet handed on. A
//! body whose part has no end of its head would grow in the parser; [`Metered`] ends it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::Stream;
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::{Map, Value};

use crate::limits;
use crate::rest::spool::{Spool, SpoolError, SpooledFile};
use crate::wire::refusal::{FormErrors, Refusal};

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request, read.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// JSON; an object if it was a form, `null` if there was none.
    pub fields: Value,
    /// Files in their order.
    pub files: Vec<UploadedFile>,
}

/// A file of a request.
#[derive(Debug)]
pub struct UploadedFile {
    /// The part's name: `files[n]`, where n is an attachment's id.
    pub part: String,
    /// The file's name, as the client has it.
    pub name: String,
    /// What the client says that it is.
    pub content_type: Option<String>,
    /// The bytes.
    pub file: SpooledFile,
}

/// Reads the parts of a body. `payload_json` holds fields and rules over simple parts of the same names, wherever it
/// stands.
pub async fn read<S, E>(
    stream: S,
    content_type: &str,
    files_max: usize,
    bytes_max: u64,
    spool: &Spool,
) -> Result<RequestBody, Refusal>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Into<BoxedError>,
{
    let boundary = multer::parse_boundary(content_type).map_err(|_| broken())?;
    let held = Arc::new(AtomicUsize::new(0));
    let whole = SizeLimit::new().whole_stream(limits::BODY_BYTES_MAX as u64 + bytes_max);
    let metered = Metered { inner: stream, held: Arc::clone(&held) };
    let mut parts = Multipart::with_constraints(metered, boundary, Constraints::new().size_limit(whole));
    let (mut fields, mut payload, mut files) = (Map::new(), Map::new(), Vec::new());
    let (mut field_bytes, mut file_bytes, mut count) = (0, 0, 0);
    while let Some(mut part) = parts.next_field().await.map_err(refuse)? {
        count += 1;
        if count > limits::PARTS_MAX {
            return Err(Refusal::BODY_TOO_LARGE);
        }
        let name = part.name().unwrap_or("").to_owned();
        if part.file_name().is_some() {
            check_count(&name, files.len(), files_max)?;
            let mut file = spool.create().await.map_err(spool_failed)?;
            while let Some(chunk) = next_chunk(&mut part, &held).await? {
                file_bytes += chunk.len() as u64;
                if file_bytes > bytes_max {
                    return Err(Refusal::BODY_TOO_LARGE);
                }
                file.append(&chunk).await.map_err(spool_failed)?;
            }
            file.finish().await.map_err(spool_failed)?;
            let content_type = part.content_type().map(ToString::to_string);
            let file_name = part.file_name().unwrap_or("").to_owned();
            files.push(UploadedFile { part: name, name: file_name, content_type, file });
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = next_chunk(&mut part, &held).await? {
            field_bytes += chunk.len();
            if field_bytes > limits::BODY_BYTES_MAX {
                return Err(Refusal::BODY_TOO_LARGE);
            }
            text.extend_from_slice(&chunk);
        }
        if name == "payload_json" {
            payload = serde_json::from_slice(&text).map_err(|_| Refusal::NOT_JSON)?;
        } else {
            fields.insert(name, String::from_utf8_lossy(&text).into());
        }
    }
    fields.extend(payload);
    Ok(RequestBody { fields: Value::Object(fields), files })
}

/// Files that a route does not take are refused by name: to drop them silently would lose them.
fn check_count(part: &str, count: usize, files_max: usize) -> Result<(), Refusal> {
    if files_max == 0 {
        let message = "This server does not take attachments.";
        return Err(FormErrors::one(&[part], "ATTACHMENTS_UNSUPPORTED", message));
    }
    if count >= files_max {
        let message = format!("Must be {files_max} or fewer in length.");
        return Err(FormErrors::one(&["attachments"], "BASE_TYPE_MAX_LENGTH", message));
    }
    Ok(())
}

async fn next_chunk(part: &mut Field<'_>, held: &AtomicUsize) -> Result<Option<Bytes>, Refusal> {
    let chunk = part.chunk().await.map_err(refuse)?;
    if let Some(chunk) = &chunk {
        held.fetch_sub(chunk.len(), Ordering::Relaxed);
    }
    Ok(chunk)
}

fn broken() -> Refusal {
    FormErrors::one(&[], "MULTIPART_INVALID", "The multipart body cannot be read.")
}

fn refuse(error: multer::Error) -> Refusal {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => Refusal::BODY_TOO_LARGE,
        multer::Error::StreamReadFailed(error) if error.is::<HeldTooMuch>() => Refusal::BODY_TOO_LARGE,
        _ => broken(),
    }
}

fn spool_failed(error: SpoolError) -> Refusal {
    match error {
        SpoolError::Full => Refusal::OVERLOADED,
        SpoolError::Disk(error) => {
            tracing::error!(%error, "a file of a request cannot be written to the spool");
            Refusal::INTERNAL
        }
    }
}

/// The parser holds more than a part's head can have.
#[derive(Debug)]
struct HeldTooMuch;

impl std::fmt::Display for HeldTooMuch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a part of a multipart body has no end of its head")
    }
}

impl std::error::Error for HeldTooMuch {}

/// A stream that counts what the parser was given and has not handed on. The parser wants `Send`, hence the atomic.
struct Metered<S> {
    inner: S,
    held: Arc<AtomicUsize>,
}

impl<S, E> Stream for Metered<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<BoxedError>,
{
    type Item = Result<Bytes, BoxedError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.held.load(Ordering::Relaxed) > limits::MULTIPART_HELD_MAX {
            return Poll::Ready(Some(Err(Box::new(HeldTooMuch))));
        }
        let next = Pin::new(&mut self.inner).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        next.map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::rc::Rc;

    use super::*;
    use crate::rest::content::{FileStretch, RestBody};
    use crate::rest::spool::tests::{on_core, spool};
    use http_body_util::BodyExt;

    /// Pieces that come one by one, as from a socket.
    struct Pieces {
        left: VecDeque<Bytes>,
        rested: bool,
    }

    impl Stream for Pieces {
        type Item = io::Result<Bytes>;
        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.rested = !self.rested;
            if self.rested {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.left.pop_front().map(Ok))
        }
    }

    fn pieces(body: &[u8], size: usize) -> Pieces {
        Pieces { left: body.chunks(size).map(Bytes::copy_from_slice).collect(), rested: false }
    }

    fn part(head: &str, content: &[u8]) -> Vec<u8> {
        [format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(), content, b"\r\n"].concat()
    }

    async fn parse(
        body: &[u8],
        size: usize,
        files_max: usize,
        bytes_max: u64,
        spool: &Spool,
    ) -> Result<RequestBody, Refusal> {
        read(pieces(body, size), "multipart/form-data; boundary=x", files_max, bytes_max, spool).await
    }

    async fn bytes_of(file: &UploadedFile) -> Bytes {
        let stretch = FileStretch::new(Rc::clone(file.file.file()), 0, file.file.length());
        RestBody::File(stretch).collect().await.unwrap().to_bytes()
    }

    #[test]
    fn parts_come_in_any_order() {
        on_core(|folder| async move {
            let spool = spool(&folder, u64::MAX);
            let picture: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
            let parts = [
                part("name=\"payload_json\"\r\nContent-Type: application/json", br#"{"content":"hi","tts":true}"#),
                part("name=\"files[0]\"; filename=\"a.png\"\r\nContent-Type: image/png", &picture),
                part("name=\"content\"", b"overruled"),
                part("name=\"files[1]\"; filename=\"b.txt\"", b""),
                part("name=\"nonce\"", b"7"),
            ];
            for turn in 0..parts.len() {
                let mut turned = parts.clone();
                turned.rotate_left(turn);
                let body = [turned.concat(), b"--x--\r\n".to_vec()].concat();
                let mut read = parse(&body, 1_000 + turn * 4_097, 2, 200_000, &spool).await.unwrap();
                assert_eq!(read.fields, serde_json::json!({ "content": "hi", "tts": true, "nonce": "7" }));
                read.files.sort_by(|one, other| one.part.cmp(&other.part));
                assert_eq!(read.files.len(), 2);
                assert_eq!((&*read.files[0].part, &*read.files[0].name), ("files[0]", "a.png"));
                assert_eq!(read.files[0].content_type.as_deref(), Some("image/png"));
                assert_eq!(bytes_of(&read.files[0]).await, picture);
                assert_eq!(bytes_of(&read.files[1]).await, b"".as_slice());
                assert_eq!(spool.bytes(), 200_000);
            }
            assert_eq!(spool.bytes(), 0, "dropped files free their bytes");
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "no file has a name");
        });
    }

    #[test]
    fn limits_refuse_files() {
        on_core(|folder| async move {
            let spool = spool(&folder, 150_000);
            let file = |length: usize| part("name=\"files[0]\"; filename=\"a\"", &vec![b'a'; length]);
            let body = |parts: &[Vec<u8>]| [parts.concat(), b"--x--\r\n".to_vec()].concat();
            let refused = async |body: &[u8], files_max, bytes_max| {
                parse(body, 8_192, files_max, bytes_max, &spool).await.unwrap_err().body()
            };
            assert_eq!(refused(&body(&[file(100_001)]), 1, 100_000).await["code"], 40_005);
            assert_eq!(refused(&body(&[file(60_000), file(40_001)]), 2, 100_000).await["code"], 40_005);
            let many = refused(&body(&[file(1), file(1)]), 1, 100_000).await;
            assert_eq!(many["errors"]["attachments"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH");
            let none = refused(&body(&[file(1)]), 0, 0).await;
            assert_eq!(none["errors"]["files[0]"]["_errors"][0]["code"], "ATTACHMENTS_UNSUPPORTED");
            assert_eq!(
                refused(&body(&[file(150_001)]), 1, 200_000).await["code"],
                130_000,
                "the core's share is used up"
            );
            assert_eq!(spool.bytes(), 0);
            let field = part("name=\"content\"", &vec![b'a'; limits::BODY_BYTES_MAX + 1]);
            assert_eq!(
                refused(&body(&[field]), 1, 10_000_000).await["code"],
                40_005,
                "fields are bounded by themselves"
            );
            let fields = vec![part("name=\"a\"", b""); limits::PARTS_MAX + 1];
            assert_eq!(refused(&body(&fields), 1, 100_000).await["code"], 40_005);
        });
    }

    #[test]
    fn cut_or_endless_bodies_are_refused() {
        on_core(|folder| async move {
            let spool = spool(&folder, u64::MAX);
            let whole = [part("name=\"files[0]\"; filename=\"a\"", &[b'a'; 10_000]), b"--x--\r\n".to_vec()].concat();
            for cut in [2, 30, 70, 5_000, whole.len() - 8] {
                let refusal = parse(&whole[..cut], 4_096, 1, 100_000, &spool).await.unwrap_err();
                assert_eq!(refusal.body()["errors"]["_errors"][0]["code"], "MULTIPART_INVALID", "cut at {cut}");
            }
            let endless = [b"--x\r\nX-Filler: ".to_vec(), vec![b'a'; 4 * limits::MULTIPART_HELD_MAX]].concat();
            assert_eq!(parse(&endless, 8_192, 1, 100_000_000, &spool).await.unwrap_err(), Refusal::BODY_TOO_LARGE);
            assert_eq!(spool.bytes(), 0);
        });
    }
}

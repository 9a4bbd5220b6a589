//! Bodies: JSON, URL-encoded or multipart, all brought into one JSON object.
//!
//! Lives on: every core. Source: Discord docs, Reference (Uploading Files, HTTP API).

use bytes::Bytes;
use futures_lite::FutureExt;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value};

use crate::limits;
use crate::wire::refusal::{FormErrors, Refusal};

/// Reads a whole body. No body at all is `null`.
pub async fn read(headers: &HeaderMap, incoming: Incoming) -> Result<Value, Refusal> {
    let bytes = whole(incoming).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => serde_json::from_slice(&bytes).map_err(|_| Refusal::NOT_JSON),
        "application/x-www-form-urlencoded" => Ok(Value::Object(
            form_urlencoded::parse(&bytes).map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect(),
        )),
        "multipart/form-data" => multipart(content_type, bytes).await,
        _ => Err(FormErrors::one(
            &[],
            "CONTENT_TYPE_INVALID",
            "Expected \"Content-Type\" header to be one of {'application/json', \
             'application/x-www-form-urlencoded', 'multipart/form-data'}.",
        )),
    }
}

/// All bytes of a body, if they are not too many and come in time.
pub async fn whole(incoming: Incoming) -> Result<Bytes, Refusal> {
    let bytes = async {
        let collected = Limited::new(incoming, limits::BODY_BYTES_MAX).collect().await;
        collected.map(|collected| collected.to_bytes()).map_err(|_| Refusal::BODY_TOO_LARGE)
    };
    let late = async {
        glommio::timer::sleep(limits::BODY_TIME).await;
        Err(Refusal::BODY_TOO_SLOW)
    };
    bytes.or(late).await
}

/// `payload_json` is the body, other simple parts are fields of it. There are no attachments here, so a file is an error
/// that names its part: to drop it silently would lose it.
async fn multipart(content_type: &str, bytes: Bytes) -> Result<Value, Refusal> {
    let broken = || FormErrors::one(&[], "MULTIPART_INVALID", "The multipart body cannot be read.");
    let boundary = multer::parse_boundary(content_type).map_err(|_| broken())?;
    let stream = futures_lite::stream::once(Ok::<Bytes, std::io::Error>(bytes));
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut fields = Map::new();
    while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
        let name = part.name().unwrap_or("").to_owned();
        if part.file_name().is_some() {
            return Err(FormErrors::one(&[&name], "ATTACHMENTS_UNSUPPORTED", "This server does not take attachments."));
        }
        let text = part.text().await.map_err(|_| broken())?;
        if name == "payload_json" {
            match serde_json::from_str(&text).map_err(|_| Refusal::NOT_JSON)? {
                Value::Object(inner) => fields.extend(inner),
                _ => return Err(Refusal::NOT_JSON),
            }
        } else {
            fields.insert(name, text.into());
        }
    }
    Ok(Value::Object(fields))
}

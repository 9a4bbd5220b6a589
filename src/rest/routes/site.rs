//! What a browser, a crawler or a monitor finds beside the API.
//!
//! Lives on: every core.

use bytes::Bytes;

use crate::rest::call::Call;
use crate::rest::respond::{ContentPolicy, HandlerResult, Response};
use crate::wire::refusal::Refusal;

/// `GET /`: what this is and where its gateway is. A WebSocket upgrade of the same path never comes here.
pub async fn landing(call: Call) -> HandlerResult {
    let gateway = escape(&call.desk.settings().gateway_url(&call.host));
    let version = env!("CARGO_PKG_VERSION");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Guildhall</title>\n\
         <h1>Guildhall {version}</h1>\n\
         <p>A realtime community server that speaks Discord's API.</p>\n\
         <ul>\n<li>REST: <code>/api/v10</code></li>\n<li>Gateway: <code>{gateway}/?v=10&amp;encoding=json</code></li>\n</ul>\n\
         <p>Point a Discord library at these addresses. What is supported is in docs/PROTOCOL.md of the source.</p>\n</html>\n"
    );
    Ok(Response::Bytes { content_type: "text/html; charset=utf-8", policy: ContentPolicy::Page, bytes: page.into() })
}

/// `GET /robots.txt`: there is nothing to index.
pub async fn robots(_call: Call) -> HandlerResult {
    let bytes = Bytes::from_static(b"User-agent: *\nDisallow: /\n");
    Ok(Response::Bytes { content_type: "text/plain; charset=utf-8", policy: ContentPolicy::Text, bytes })
}

/// `GET /healthz`: whether the store works.
pub async fn health(call: Call) -> HandlerResult {
    if !call.desk.store().is_open() {
        return Err(Refusal { status: 503, message: "no store", ..Refusal::INTERNAL });
    }
    let bytes = Bytes::from_static(b"ok\n");
    Ok(Response::Bytes { content_type: "text/plain", policy: ContentPolicy::Text, bytes })
}

/// The host comes from the client.
fn escape(text: &str) -> String {
    let escaped = |char| match char {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        char => String::from(char),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_cannot_write_markup() {
        assert_eq!(escape("ws://a\"><script>'&"), "ws://a&quot;&gt;&lt;script&gt;&#39;&amp;");
    }
}

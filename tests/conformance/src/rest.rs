//! REST calls by hand, for what a test does beside the client that it tests.

use std::net::SocketAddr;

use serde_json::Value;

/// A caller with a token.
#[derive(Debug, Clone)]
pub struct Rest {
    agent: ureq::Agent,
    server: SocketAddr,
    authorization: String,
}

/// Status and body of an answer; `null` if it has none.
pub type Answered = (u16, Value);

impl Rest {
    /// A caller with this `Authorization` header; an empty one is left out.
    pub fn new(server: SocketAddr, authorization: &str) -> Rest {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Rest { agent: config.into(), server, authorization: authorization.to_owned() }
    }

    /// Calls a route under `/api/v10`. A connection that fails is an error.
    pub fn try_call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Answered, ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/api/v10{path}", self.server))
            .header("content-type", "application/json");
        if !self.authorization.is_empty() {
            request = request.header("authorization", &self.authorization);
        }
        let mut response = match body {
            Some(body) => self.agent.run(request.body(body.to_string())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let text = response.body_mut().read_to_string()?;
        Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Calls a route, which must be reachable.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answered {
        self.try_call(method, path, body).expect("the server answers")
    }

    /// Calls a route that must succeed.
    pub fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

//! Refusals: a client's fault, as a number from Discord's tables.
//!
//! Lives on: every core. Source: Discord docs, Opcodes and Status Codes/JSON Error Codes, and Reference/Error Messages.

use serde_json::{Map, Value, json};

/// An HTTP status and a JSON error body. Shape: `{"message", "code", "errors"?}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Discord's JSON error code; 0 is generic.
    pub code: u32,
    /// What a person reads.
    pub message: &'static str,
    /// The tree that mirrors the request, for 50035.
    pub errors: Option<Box<Value>>,
}

impl Refusal {
    const fn new(status: u16, code: u32, message: &'static str) -> Self {
        Refusal { status, code, message, errors: None }
    }

    /// The JSON body.
    pub fn body(&self) -> Value {
        let mut body = json!({ "message": self.message, "code": self.code });
        if let Some(errors) = &self.errors {
            body["errors"] = (**errors).clone();
        }
        body
    }
}

macro_rules! refusals {
    ($($name:ident = $status:literal, $code:literal, $message:literal;)*) => {
        impl Refusal {
            $(#[doc = concat!("HTTP ", stringify!($status), ", code ", stringify!($code), ": ", $message)]
            pub const $name: Refusal = Refusal::new($status, $code, $message);)*
        }
    };
}

refusals! {
    UNAUTHORIZED = 401, 0, "401: Unauthorized";
    NOT_FOUND = 404, 0, "404: Not Found";
    METHOD_NOT_ALLOWED = 405, 0, "405: Method Not Allowed";
    UNKNOWN_APPLICATION = 404, 10002, "Unknown Application";
    UNKNOWN_CHANNEL = 404, 10003, "Unknown Channel";
    UNKNOWN_GUILD = 404, 10004, "Unknown Guild";
    UNKNOWN_INVITE = 404, 10006, "Unknown Invite";
    UNKNOWN_MEMBER = 404, 10007, "Unknown Member";
    UNKNOWN_MESSAGE = 404, 10008, "Unknown Message";
    UNKNOWN_OVERWRITE = 404, 10009, "Unknown Overwrite";
    UNKNOWN_ROLE = 404, 10011, "Unknown Role";
    UNKNOWN_USER = 404, 10013, "Unknown User";
    BOTS_MAY_NOT = 403, 20001, "Bots cannot use this endpoint";
    ONLY_BOTS_MAY = 403, 20002, "Only bots can use this endpoint";
    OWNER_ONLY = 403, 20018, "Only the owner of this account can perform this action";
    TOO_MANY_GUILDS = 400, 30001, "Maximum number of guilds reached (200)";
    TOO_MANY_PINS = 400, 30003, "Maximum number of pins reached for the channel (250)";
    TOO_MANY_ROLES = 400, 30005, "Maximum number of guild roles reached (250)";
    TOO_MANY_CHANNELS = 400, 30013, "Maximum number of guild channels reached (500)";
    TOO_MANY_NOTES = 400, 30011, "Maximum number of notes reached (500)";
    TOO_MANY_INVITES = 400, 30016, "Maximum number of invites reached (1000)";
    TOO_MANY_OVERWRITES = 400, 30060, "Maximum number of channel permission overwrites reached (1000)";
    BODY_TOO_SLOW = 408, 0, "408: Request Timeout";
    BODY_TOO_LARGE = 413, 40005, "Request entity too large";
    MISSING_ACCESS = 403, 50001, "Missing Access";
    NOT_THE_AUTHOR = 403, 50005, "Cannot edit a message authored by another user";
    EMPTY_MESSAGE = 400, 50006, "Cannot send an empty message";
    NOT_A_TEXT_CHANNEL = 400, 50008, "Cannot send messages in a non-text channel";
    MISSING_PERMISSIONS = 403, 50013, "Missing Permissions";
    SYSTEM_MESSAGE = 403, 50021, "Cannot execute action on a system message";
    INVALID_ROLE = 400, 50028, "Invalid Role";
    INVALID_FORM_BODY = 400, 50035, "Invalid Form Body";
    INVALID_API_VERSION = 400, 50041, "Invalid API version";
    NOT_JSON = 400, 50109, "The request body contains invalid JSON.";
    INVALID_GUILD = 400, 50055, "Invalid Guild";
    BULK_DELETE_COUNT = 400, 50016, "Provided too few or too many messages to delete. Must provide at least 2 and fewer than 100 messages to delete.";
    BULK_DELETE_TOO_OLD = 400, 50034, "A message provided was too old to bulk delete";
    REPLY_WITHOUT_HISTORY = 400, 160002, "Cannot reply without permission to read message history";
    OVERLOADED = 503, 130000, "API resource is currently overloaded. Try again a little later";
    INTERNAL = 500, 0, "500: Internal Server Error";
}

/// Collects what is wrong with a form, by path, into the documented tree.
#[derive(Debug, Default)]
pub struct FormErrors {
    root: Map<String, Value>,
}

impl FormErrors {
    /// Notes a fault at `path`, e.g. `["embeds", "0", "title"]`; an empty path means the whole request.
    pub fn add(&mut self, path: &[&str], code: &str, message: impl Into<String>) {
        let mut node = &mut self.root;
        for step in path {
            let child = node.entry((*step).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(map) = child else { unreachable!("only objects are inserted on paths") };
            node = map;
        }
        let list = node.entry("_errors").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(json!({ "code": code, "message": message.into() }));
        }
    }

    /// Notes that a string is too short or too long, counting characters as Discord does.
    pub fn length(&mut self, path: &[&str], text: &str, min: usize, max: usize) {
        let length = text.chars().count();
        if length < min || length > max {
            if min == 0 {
                self.add(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."));
            } else {
                self.add(path, "BASE_TYPE_BAD_LENGTH", format!("Must be between {min} and {max} in length."));
            }
        }
    }

    /// Notes that a number is out of its range.
    pub fn range(&mut self, path: &[&str], value: i64, min: i64, max: i64) {
        if value < min {
            self.add(path, "NUMBER_TYPE_MIN", format!("int value should be greater than or equal to {min}."));
        } else if value > max {
            self.add(path, "NUMBER_TYPE_MAX", format!("int value should be less than or equal to {max}."));
        }
    }

    /// Ok if nothing was noted, else 50035 with the tree.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.root.is_empty() {
            return Ok(());
        }
        Err(Refusal { errors: Some(Box::new(Value::Object(self.root))), ..Refusal::INVALID_FORM_BODY })
    }

    /// 50035 for one fault.
    pub fn one(path: &[&str], code: &str, message: impl Into<String>) -> Refusal {
        let mut errors = FormErrors::default();
        errors.add(path, code, message);
        Refusal { errors: Some(Box::new(Value::Object(errors.root))), ..Refusal::INVALID_FORM_BODY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_filed_under_the_path_of_the_field() {
        let mut errors = FormErrors::default();
        errors.length(&["embeds", "0", "title"], &"x".repeat(300), 0, 256);
        errors.length(&["name"], "", 1, 100);
        let refusal = errors.finish().unwrap_err();
        assert_eq!((refusal.status, refusal.code), (400, 50035));
        let body = refusal.body();
        assert_eq!(body["errors"]["embeds"]["0"]["title"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH");
        assert_eq!(body["errors"]["name"]["_errors"][0]["message"], "Must be between 1 and 100 in length.");
        assert!(FormErrors::default().finish().is_ok());
    }
}

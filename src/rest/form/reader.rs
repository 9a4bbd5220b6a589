//! The form reader: typed fields out of a JSON object, with every fault listed under its path.
//!
//! Lives on: every core. Source: Discord docs, Reference/Error Messages.
//! A field that is absent is `None`; where `null` means something of its own there is a second `Option`.

use std::cell::RefCell;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::wire::refusal::{FormErrors, Refusal};

/// A form being read. Its methods return what a field holds and note a fault if it is not of that kind.
#[derive(Debug)]
pub struct FormReader<'a> {
    fields: Option<&'a Map<String, Value>>,
    errors: RefCell<FormErrors>,
}

impl<'a> FormReader<'a> {
    /// A form; no body is an empty one, anything but an object is refused.
    pub fn new(body: &'a Value) -> Result<FormReader<'a>, Refusal> {
        let fields = match body {
            Value::Object(fields) => Some(fields),
            Value::Null => None,
            _ => {
                return Err(FormErrors::one(&[], "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType"));
            }
        };
        Ok(FormReader { fields, errors: RefCell::default() })
    }

    /// Refuses if there is any fault.
    pub fn finish(self) -> Result<(), Refusal> {
        self.errors.into_inner().finish()
    }

    /// Notes a fault.
    pub fn fault(&self, path: &[&str], code: &str, message: impl Into<String>) {
        self.errors.borrow_mut().add(path, code, message);
    }

    /// The faults, for checks that note several.
    pub fn errors(&self) -> std::cell::RefMut<'_, FormErrors> {
        self.errors.borrow_mut()
    }

    /// A field as it is; `null` counts as absent.
    pub fn raw(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.fields.is_some_and(|fields| fields.contains_key(name))
    }

    /// Trimmed text of `min` to `max` characters.
    pub fn text(&self, name: &str, min: usize, max: usize) -> Option<String> {
        let value = self.raw(name)?;
        match value.as_str() {
            Some(text) => {
                let text = text.trim();
                self.errors.borrow_mut().length(&[name], text, min, max);
                Some(text.to_owned())
            }
            None => self.wrong(name, "STRING_TYPE_CONVERT", "Could not interpret value as string."),
        }
    }

    /// A place in a list.
    pub fn position(&self) -> Option<i32> {
        self.number("position", 0, i64::from(i32::MAX)).map(|position| position as i32)
    }

    /// Text that must be there.
    pub fn required_text(&self, name: &str, min: usize, max: usize) -> String {
        if self.raw(name).is_none() {
            self.fault(&[name], "BASE_TYPE_REQUIRED", "This field is required");
            return String::new();
        }
        self.text(name, min, max).unwrap_or_default()
    }

    /// Text that may be set to nothing by `null` or by being empty.
    pub fn nullable_text(&self, name: &str, max: usize) -> Option<Option<String>> {
        if !self.has(name) {
            return None;
        }
        Some(self.text(name, 0, max).filter(|text| !text.is_empty()))
    }

    /// A whole number in a range; a number in text counts.
    pub fn number(&self, name: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.raw(name)?;
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => {
                self.errors.borrow_mut().range(&[name], number, min, max);
                Some(number.clamp(min, max))
            }
            None => self.wrong(name, "NUMBER_TYPE_COERCE", &format!("Value {value} is not int.")),
        }
    }

    /// True or false, in JSON or as the words of a form.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.raw(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if matches!(text.as_str(), "true" | "True" | "1") => Some(true),
            Value::String(text) if matches!(text.as_str(), "false" | "False" | "0") => Some(false),
            _ => self.wrong(name, "BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
        }
    }

    /// An id.
    pub fn id<T: FromStr + DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.raw(name)?;
        match serde_json::from_value(value.clone()) {
            Ok(id) => Some(id),
            Err(_) => self.wrong(name, "NUMBER_TYPE_COERCE", &format!("Value {value} is not snowflake.")),
        }
    }

    /// An id that may be set to nothing.
    pub fn nullable_id<T: FromStr + DeserializeOwned>(&self, name: &str) -> Option<Option<T>> {
        self.has(name).then(|| self.id(name))
    }

    /// Anything that has a JSON form of its own.
    pub fn parsed<T: DeserializeOwned>(&self, name: &str, code: &str, message: &str) -> Option<T> {
        match serde_json::from_value(self.raw(name)?.clone()) {
            Ok(value) => Some(value),
            Err(_) => self.wrong(name, code, message),
        }
    }

    /// A list; what is no list is a fault.
    pub fn list(&self, name: &str) -> Option<&'a [Value]> {
        match self.raw(name)? {
            Value::Array(list) => Some(list),
            _ => self.wrong(name, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"),
        }
    }

    fn wrong<T>(&self, name: &str, code: &str, message: &str) -> Option<T> {
        self.fault(&[name], code, message);
        None
    }
}

/// Reads a body that is a list of objects, each with an id.
pub fn each<T>(body: &Value, read: impl Fn(&FormReader<'_>) -> T) -> Result<Vec<T>, Refusal> {
    let Value::Array(list) = body else {
        return Err(FormErrors::one(&[], "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"));
    };
    list.iter()
        .map(|item| {
            let form = FormReader::new(item)?;
            if form.raw("id").is_none() {
                form.fault(&["id"], "BASE_TYPE_REQUIRED", "This field is required");
            }
            let value = read(&form);
            form.finish()?;
            Ok(value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::UserId;
    use serde_json::json;

    #[test]
    fn faults_of_several_fields_come_together() {
        let body = json!({ "name": "", "n": "x", "id": "no", "flag": 3, "ok": "7", "null": null });
        let form = FormReader::new(&body).unwrap();
        form.required_text("name", 1, 100);
        form.required_text("absent", 1, 100);
        form.number("n", 0, 5);
        form.id::<UserId>("id");
        form.flag("flag");
        assert_eq!(form.number("ok", 0, 10), Some(7));
        assert_eq!(form.nullable_text("null", 10), Some(None));
        assert_eq!(form.nullable_text("not there", 10), None);
        let errors = form.finish().unwrap_err().body();
        let code = |field: &str| errors["errors"][field]["_errors"][0]["code"].clone();
        assert_eq!(code("name"), "BASE_TYPE_BAD_LENGTH");
        assert_eq!(code("absent"), "BASE_TYPE_REQUIRED");
        assert_eq!(code("n"), "NUMBER_TYPE_COERCE");
        assert_eq!(code("id"), "NUMBER_TYPE_COERCE");
        assert_eq!(code("flag"), "BOOLEAN_TYPE_CONVERT");
        assert!(FormReader::new(&json!([1])).is_err());
    }
}

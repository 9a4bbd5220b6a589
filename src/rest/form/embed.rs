//! Embeds: known texts are bounded, what only the server may set is dropped, `type` is `rich`.
//!
//! Lives on: every core. Source: Discord docs, Resources/Message/Embed Limits.

use serde_json::{Map, Value};

use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::wire::refusal::FormErrors;

/// Texts of an embed besides its fields, and their bounds.
const TEXTS: [(&[&str], usize); 4] = [
    (&["title"], limits::EMBED_TITLE_CHARS_MAX),
    (&["description"], limits::EMBED_DESCRIPTION_CHARS_MAX),
    (&["footer", "text"], limits::EMBED_FOOTER_CHARS_MAX),
    (&["author", "name"], limits::EMBED_AUTHOR_CHARS_MAX),
];

/// Reads `embeds`.
pub fn embeds(form: &FormReader<'_>) -> Option<Vec<Value>> {
    let list = form.list("embeds")?;
    if list.len() > limits::EMBEDS_MAX {
        form.fault(&["embeds"], "BASE_TYPE_BAD_LENGTH", format!("Must be {} or fewer in length.", limits::EMBEDS_MAX));
    }
    let mut total = 0;
    let checked = list
        .iter()
        .enumerate()
        .map(|(index, embed)| {
            let place = index.to_string();
            let Value::Object(fields) = embed else {
                form.fault(&["embeds", &place], "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType");
                return Value::Null;
            };
            let mut fields = fields.clone();
            for dropped in ["provider", "video"] {
                fields.remove(dropped);
            }
            fields.insert("type".to_owned(), "rich".into());
            total += check(&mut form.errors(), &place, &fields);
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        })
        .collect();
    if total > limits::EMBED_CHARS_MAX {
        form.fault(&["embeds"], "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000");
    }
    Some(checked)
}

/// Checks one embed and counts the characters that count.
fn check(errors: &mut FormErrors, place: &str, embed: &Map<String, Value>) -> usize {
    let mut total: usize = TEXTS.iter().map(|(path, max)| text_at(errors, place, embed, path, *max)).sum();
    let path = ["embeds", place, "fields"];
    match embed.get("fields") {
        Some(Value::Array(list)) => {
            if list.len() > limits::EMBED_FIELDS_MAX {
                let message = format!("Must be {} or fewer in length.", limits::EMBED_FIELDS_MAX);
                errors.add(&path, "BASE_TYPE_BAD_LENGTH", message);
            }
            for (number, field) in list.iter().enumerate() {
                total += check_field(errors, place, &number.to_string(), field);
            }
        }
        Some(Value::Null) | None => {}
        Some(_) => errors.add(&path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"),
    }
    if let Some(color) = embed.get("color").filter(|color| !color.is_null()) {
        match color.as_i64() {
            Some(color) => errors.range(&["embeds", place, "color"], color, 0, limits::COLOR_MAX),
            None => errors.add(&["embeds", place, "color"], "NUMBER_TYPE_COERCE", "Not an int."),
        }
    }
    total
}

fn check_field(errors: &mut FormErrors, place: &str, number: &str, field: &Value) -> usize {
    let mut total = 0;
    for (key, max) in [("name", limits::EMBED_FIELD_NAME_CHARS_MAX), ("value", limits::EMBED_FIELD_VALUE_CHARS_MAX)] {
        let text = field.get(key).and_then(Value::as_str).unwrap_or("").trim();
        let path = ["embeds", place, "fields", number, key];
        if text.is_empty() {
            errors.add(&path, "BASE_TYPE_REQUIRED", "This field is required");
        }
        errors.length(&path, text, 0, max);
        total += text.chars().count();
    }
    total
}

/// Checks one text of an embed and counts its characters.
fn text_at(errors: &mut FormErrors, place: &str, embed: &Map<String, Value>, path: &[&str], max: usize) -> usize {
    let Some(mut value) = embed.get(path[0]) else { return 0 };
    for step in &path[1..] {
        let Some(inner) = value.get(step) else { return 0 };
        value = inner;
    }
    let full: Vec<&str> = ["embeds", place].into_iter().chain(path.iter().copied()).collect();
    match value {
        Value::Null => 0,
        Value::String(text) => {
            errors.length(&full, text.trim(), 0, max);
            text.trim().chars().count()
        }
        _ => {
            errors.add(&full, "STRING_TYPE_CONVERT", "Could not interpret value as string.");
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(embed: Value) -> Result<Vec<Value>, Value> {
        let body = json!({ "embeds": [embed] });
        let form = FormReader::new(&body).unwrap();
        let read = embeds(&form).unwrap();
        form.finish().map(|()| read).map_err(|refusal| refusal.body()["errors"]["embeds"].clone())
    }

    #[test]
    fn embed_becomes_rich_without_server_fields() {
        let read = read(json!({ "title": "t", "type": "video", "video": {}, "provider": {}, "url": null })).unwrap();
        assert_eq!(read, [json!({ "title": "t", "type": "rich" })]);
    }

    #[test]
    fn embed_over_a_limit_names_the_field() {
        let errors = read(json!({ "title": "x".repeat(limits::EMBED_TITLE_CHARS_MAX + 1) })).unwrap_err();
        assert_eq!(errors["0"]["title"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH");
        let errors = read(json!({ "fields": [{ "name": "n", "value": " " }] })).unwrap_err();
        assert_eq!(errors["0"]["fields"]["0"]["value"]["_errors"][0]["code"], "BASE_TYPE_REQUIRED");
        let errors = read(json!({ "color": limits::COLOR_MAX + 1 })).unwrap_err();
        assert_eq!(errors["0"]["color"]["_errors"][0]["code"], "NUMBER_TYPE_MAX");
        let field = json!({ "name": "n", "value": "x".repeat(1_000) });
        let errors = read(json!({ "fields": vec![field; 7] })).unwrap_err();
        assert_eq!(errors["_errors"][0]["code"], "MAX_EMBED_SIZE_EXCEEDED");
    }
}

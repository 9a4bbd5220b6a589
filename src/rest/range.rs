//! Conditions and ranges of a GET: which part of a representation is sent.
//!
//! Lives on: every core. Source: RFC 9110, sections 13 (conditional requests) and 14 (range requests). One range of
//! bytes is served. Several ranges in one request are ignored, as section 14.2 permits, and so is what cannot be
//! parsed: the client gets the whole.

use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, Method};

/// What of a representation is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// 200.
    Whole,
    /// 206: from the first byte up to, but not including, the second one.
    Part(u64, u64),
    /// 416.
    Unsatisfiable,
    /// 304.
    Unchanged,
}

/// Selects by the headers of a request. `etag` is a strong one, quotes included.
pub fn select(method: &Method, headers: &HeaderMap, etag: &str, length: u64) -> Selection {
    if lists(headers, etag) {
        return Selection::Unchanged;
    }
    // Ranges are defined for GET alone.
    if method != Method::GET || !permits_part(headers, etag) {
        return Selection::Whole;
    }
    let mut ranges = headers.get_all(RANGE).iter();
    match (ranges.next().and_then(|value| value.to_str().ok()), ranges.next()) {
        (Some(range), None) => parse(range, length),
        (None, _) | (_, Some(_)) => Selection::Whole,
    }
}

/// Whether If-None-Match names the etag. The comparison is the weak one.
fn lists(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

/// Whether If-Range is absent or names the etag. A date never matches: representations here have none.
fn permits_part(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

fn parse(range: &str, length: u64) -> Selection {
    let Some((unit, range)) = range.split_once('=') else { return Selection::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Selection::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    match (position(first), position(last)) {
        (Some(first), Some(last)) if first > last => Selection::Whole,
        (Some(first), _) if first >= length && (last.is_empty() || position(last).is_some()) => {
            Selection::Unsatisfiable
        }
        (Some(first), Some(last)) => Selection::Part(first, last.saturating_add(1).min(length)),
        (Some(first), None) if last.is_empty() => Selection::Part(first, length),
        (None, Some(0)) if first.is_empty() => Selection::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && length == 0 => Selection::Unsatisfiable,
        (None, Some(suffix)) if first.is_empty() => Selection::Part(length.saturating_sub(suffix), length),
        (Some(_) | None, Some(_) | None) => Selection::Whole,
    }
}

/// Digits alone; what exceeds 64 bits is beyond the end of anything.
fn position(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const ETAG: &str = "\"a1\"";

    fn with(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn range_selects_a_part_of_ten_bytes() {
        for (range, selection) in [
            ("bytes=0-3", Selection::Part(0, 4)),
            ("bytes=9-9", Selection::Part(9, 10)),
            ("bytes=4-", Selection::Part(4, 10)),
            ("bytes=4-99999999999999999999999", Selection::Part(4, 10)),
            ("BYTES=-3", Selection::Part(7, 10)),
            ("bytes=-30", Selection::Part(0, 10)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=10-20", Selection::Unsatisfiable),
            ("bytes=99999999999999999999999-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=3-1", Selection::Whole),
            ("bytes=0-1,4-5", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("bytes=10-x", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("lines=0-1", Selection::Whole),
            ("bytes", Selection::Whole),
        ] {
            assert_eq!(parse(range, 10), selection, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn conditions_precede_the_range() {
        let range = (RANGE, "bytes=0-3");
        let select =
            |method: Method, pairs: &[(http::HeaderName, &'static str)]| select(&method, &with(pairs), ETAG, 10);
        assert_eq!(select(Method::GET, &[]), Selection::Whole);
        assert_eq!(select(Method::GET, std::slice::from_ref(&range)), Selection::Part(0, 4));
        assert_eq!(select(Method::HEAD, std::slice::from_ref(&range)), Selection::Whole);
        assert_eq!(select(Method::GET, &[range.clone(), (RANGE, "bytes=5-6")]), Selection::Whole);
        assert_eq!(select(Method::GET, &[range.clone(), (IF_RANGE, ETAG)]), Selection::Part(0, 4));
        for other in ["\"a2\"", "W/\"a1\"", "Tue, 01 Dec 2026 00:00:00 GMT"] {
            assert_eq!(select(Method::GET, &[range.clone(), (IF_RANGE, other)]), Selection::Whole, "{other}");
        }
        for same in ["*", "\"a0\", W/\"a1\"", ETAG] {
            assert_eq!(select(Method::HEAD, &[(IF_NONE_MATCH, same)]), Selection::Unchanged, "{same}");
        }
        assert_eq!(select(Method::GET, &[(IF_NONE_MATCH, "\"a2\""), range]), Selection::Part(0, 4));
    }
}

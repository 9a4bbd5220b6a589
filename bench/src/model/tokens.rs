//! The sessions' tokens, in one piece of memory: a million of them cost their bytes and four more each.

use serde::{Deserialize, Serialize, Serializer};

/// Tokens by number. In JSON, a list of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Tokens {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Tokens {
    /// One token per line; blank lines are none.
    pub fn from_lines(text: &str) -> Tokens {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut tokens = Tokens {
            text: String::with_capacity(lines().map(str::len).sum()),
            ends: Vec::with_capacity(lines().count()),
        };
        lines().for_each(|line| tokens.push(line));
        tokens
    }

    /// One more.
    ///
    /// # Panics
    ///
    /// If all together are longer than 4 GiB.
    pub fn push(&mut self, token: &str) {
        self.text.push_str(token);
        self.ends.push(u32::try_from(self.text.len()).expect("tokens fit into 4 GiB"));
    }

    /// Takes the last away.
    pub fn pop(&mut self) -> Option<String> {
        self.ends.pop()?;
        Some(self.text.split_off(self.ends.last().map_or(0, |end| *end as usize)))
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|session| self.get(session))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A session's token. If there are more sessions, tokens are used again.
    ///
    /// # Panics
    ///
    /// If there are no tokens.
    pub fn get(&self, session: u32) -> &str {
        let at = session as usize % self.ends.len();
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start as usize..self.ends[at] as usize]
    }
}

impl<T: AsRef<str>> FromIterator<T> for Tokens {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Tokens {
        let mut all = Tokens::default();
        tokens.into_iter().for_each(|token| all.push(token.as_ref()));
        all.text.shrink_to_fit();
        all.ends.shrink_to_fit();
        all
    }
}

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl From<Vec<String>> for Tokens {
    fn from(tokens: Vec<String>) -> Tokens {
        tokens.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_again_and_used_again() {
        let tokens = Tokens::from_lines("one\n\n two\nthree\n");
        assert_eq!((tokens.len(), tokens.is_empty()), (3, false));
        assert_eq!([0, 1, 2, 3, 4].map(|session| tokens.get(session)), ["one", "two", "three", "one", "two"]);
        let same: Tokens = ["one".to_owned(), "two".to_owned()].into_iter().collect();
        assert_eq!((same.get(1), same.len()), ("two", 2));
    }

    #[test]
    fn tokens_are_a_list_in_json() {
        let mut tokens = Tokens::from_lines("a\n\"b\"\nccc\n");
        let text = r#"["a","\"b\"","ccc"]"#;
        assert_eq!(serde_json::to_string(&tokens).expect("strings"), text);
        assert_eq!(serde_json::from_str::<Tokens>(text).expect("a list"), tokens);
        assert_eq!(
            [tokens.pop(), tokens.pop(), tokens.pop(), tokens.pop()].map(Option::unwrap_or_default),
            ["ccc", "\"b\"", "a", ""]
        );
        assert!(tokens.is_empty() && tokens.iter().next().is_none());
    }
}

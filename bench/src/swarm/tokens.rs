//! The sessions' tokens, in one piece of memory: a million of them cost their bytes and four more each.

/// Tokens by number.
#[derive(Debug, Clone, Default)]
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
}

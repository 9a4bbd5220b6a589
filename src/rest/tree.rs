//! The tree of routes: one node for each segment of a template. A static word wins over an id.
//!
//! Lives on: every core, built once for the process and never changed.
//! A path is decided by route, not by node: `GET /members/@me` leads to `/members/{user.id}` when only PATCH has the
//! word `@me`. So a lookup that finds a node without the method goes on with the id beside it. A template bounds the
//! depth.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// Where the named segments of a path are: their first byte and the one behind their last.
pub type Spans = SmallVec<[(u32, u32); 4]>;

/// Methods that a path has.
pub type Methods = SmallVec<[Method; 6]>;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// A route, and where the path has its named segments.
    Found(T, Spans),
    /// The path is known, with these methods only.
    WrongMethod(Methods),
    /// Nothing.
    Unknown,
}

/// A node, and the tree under it.
#[derive(Debug)]
pub struct RouteTree<T> {
    words: Vec<(&'static str, RouteTree<T>)>,
    id: Option<Box<RouteTree<T>>>,
    routes: Vec<(Method, T)>,
}

impl<T> Default for RouteTree<T> {
    fn default() -> Self {
        RouteTree { words: Vec::new(), id: None, routes: Vec::new() }
    }
}

impl<T: Copy> RouteTree<T> {
    /// Adds a route. Two routes with one method and one path are a mistake in the table.
    pub fn insert(&mut self, method: Method, template: &'static str, route: T) {
        let mut node = self;
        for segment in template.split('/').filter(|segment| !segment.is_empty()) {
            node = if segment.starts_with('{') {
                node.id.get_or_insert_default()
            } else {
                let at = match node.words.binary_search_by(|(word, _)| (*word).cmp(segment)) {
                    Ok(at) => at,
                    Err(at) => {
                        node.words.insert(at, (segment, RouteTree::default()));
                        at
                    }
                };
                &mut node.words[at].1
            };
        }
        assert!(node.routes.iter().all(|(known, _)| *known != method), "{method} {template} is there twice");
        node.routes.push((method, route));
    }

    /// Finds the route of a path, which begins at `from`. Empty segments count for nothing. HEAD is answered as GET.
    pub fn find(&self, method: &Method, path: &str, from: usize) -> Lookup<T> {
        let (mut spans, mut methods) = (Spans::new(), Methods::new());
        match self.search(method, path, from, &mut spans, &mut methods) {
            Some(route) => Lookup::Found(route, spans),
            None if methods.is_empty() => Lookup::Unknown,
            None => Lookup::WrongMethod(methods),
        }
    }

    fn search(&self, method: &Method, path: &str, from: usize, spans: &mut Spans, methods: &mut Methods) -> Option<T> {
        let Some((start, end)) = segment(path, from) else { return self.route(method, methods) };
        if !self.words.is_empty() {
            let word = decode(&path[start..end]);
            if let Ok(at) = self.words.binary_search_by(|(known, _)| (*known).cmp(&word))
                && let Some(route) = self.words[at].1.search(method, path, end, spans, methods)
            {
                return Some(route);
            }
        }
        let id = self.id.as_ref()?;
        spans.push((start as u32, end as u32));
        let found = id.search(method, path, end, spans, methods);
        if found.is_none() {
            spans.pop();
        }
        found
    }

    /// The route of this very node; without one, its methods are added to the list.
    fn route(&self, method: &Method, methods: &mut Methods) -> Option<T> {
        let of = |wanted: &Method| self.routes.iter().find(|(known, _)| known == wanted).map(|(_, route)| *route);
        let found = of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None });
        if found.is_none() {
            for (known, _) in &self.routes {
                let head = (known == Method::GET).then_some(Method::HEAD);
                for known in [known.clone()].into_iter().chain(head) {
                    if !methods.contains(&known) {
                        methods.push(known);
                    }
                }
            }
        }
        found
    }
}

/// The next segment that is not empty, from `from` on.
pub fn segment(path: &str, from: usize) -> Option<(usize, usize)> {
    let start = from + path[from..].find(|byte| byte != '/')?;
    let end = path[start..].find('/').map_or(path.len(), |length| start + length);
    Some((start, end))
}

/// A segment without percent-encoding. Ids and most words have none and are borrowed.
pub fn decode(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> RouteTree<&'static str> {
        let mut tree = RouteTree::default();
        for (method, template) in [
            (Method::GET, "/"),
            (Method::GET, "/roles/{id}"),
            (Method::DELETE, "/roles/{id}"),
            (Method::GET, "/roles/member-counts"),
            (Method::PATCH, "/members/@me"),
            (Method::GET, "/members/{id}"),
            (Method::PUT, "/members/{id}/roles/{role}"),
        ] {
            tree.insert(method, template, template);
        }
        tree
    }

    fn found(method: Method, path: &str) -> Option<(&'static str, Vec<String>)> {
        match tree().find(&method, path, 0) {
            Lookup::Found(route, spans) => {
                let named = spans.iter().map(|(start, end)| path[*start as usize..*end as usize].to_owned());
                Some((route, named.collect()))
            }
            Lookup::WrongMethod(_) | Lookup::Unknown => None,
        }
    }

    #[test]
    fn static_word_wins_over_id() {
        assert_eq!(found(Method::GET, "/roles/member-counts"), Some(("/roles/member-counts", vec![])));
        assert_eq!(found(Method::GET, "/roles/7"), Some(("/roles/{id}", vec!["7".to_owned()])));
        assert_eq!(found(Method::PATCH, "/members/%40me"), Some(("/members/@me", vec![])));
    }

    #[test]
    fn word_without_the_method_or_the_rest_falls_back_to_id() {
        assert_eq!(found(Method::GET, "/members/@me"), Some(("/members/{id}", vec!["@me".to_owned()])));
        let put = found(Method::PUT, "/members/@me/roles/9");
        assert_eq!(put, Some(("/members/{id}/roles/{role}", vec!["@me".to_owned(), "9".to_owned()])));
        assert_eq!(found(Method::DELETE, "/roles/member-counts").unwrap().0, "/roles/{id}");
    }

    #[test]
    fn head_is_answered_as_get_and_empty_segments_do_not_count() {
        assert_eq!(found(Method::HEAD, "//roles//7/"), Some(("/roles/{id}", vec!["7".to_owned()])));
        assert_eq!(found(Method::HEAD, ""), Some(("/", vec![])));
        assert_eq!(found(Method::HEAD, "/members/1/roles/2"), None);
    }

    #[test]
    fn wrong_method_lists_those_of_every_matching_node() {
        let methods = |path: &str| match tree().find(&Method::POST, path, 0) {
            Lookup::WrongMethod(methods) => methods.iter().map(Method::to_string).collect::<Vec<_>>(),
            Lookup::Found(..) | Lookup::Unknown => Vec::new(),
        };
        assert_eq!(methods("/members/@me"), ["PATCH", "GET", "HEAD"]);
        assert_eq!(methods("/roles/1"), ["GET", "HEAD", "DELETE"]);
        assert!(matches!(tree().find(&Method::POST, "/roles/1/2", 0), Lookup::Unknown));
        assert!(matches!(tree().find(&Method::POST, "/roles", 0), Lookup::Unknown));
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn a_route_that_is_there_twice_is_a_mistake() {
        tree().insert(Method::GET, "/members/{other}", "again");
    }
}

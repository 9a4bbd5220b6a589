//! Tokens: a user id signed by this server, so that no look-up is needed to believe it.
//!
//! Lives on: every core, and the operator's commands.
//! A token is `base64url(decimal user id) . base64url(issue time, 6 bytes of Unix milliseconds) . base64url(HMAC-SHA256
//! of the text before)`: the shape of Discord's own, whose first part client libraries decode to learn the
//! application's id.
//! A token does not end by itself. It is revoked by moving the moment from which the user's tokens are good past its
//! issue; verification compares the two.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::base::id::UserId;

/// Longest token: 20 digits are 27 characters, the time 8, the signature 43, and two dots.
const TOKEN_BYTES_MAX: usize = 27 + 1 + 8 + 1 + 43;

/// Issues and verifies tokens. Cheap to clone; every core has its own.
#[derive(Clone)]
pub struct Signer {
    /// Keyed once; each signature starts from a copy.
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(secret)")
    }
}

impl Signer {
    /// Signs with the secret that the store keeps.
    pub fn new(secret: [u8; 32]) -> Signer {
        Signer { keyed: Hmac::new_from_slice(&secret).expect("HMAC takes keys of any length") }
    }

    /// A token of the user, issued at the Unix millisecond (up to 2^48, the year 10889).
    pub fn issue(&self, user: UserId, unix_ms: u64) -> String {
        let mut token = URL_SAFE_NO_PAD.encode(user.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&unix_ms.to_be_bytes()[2..], &mut token);
        let mut mac = self.keyed.clone();
        mac.update(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac.finalize().into_bytes(), &mut token);
        token
    }

    /// Whose token it is and the Unix millisecond of its issue; `None` unless this server issued it.
    /// A leading `Bot ` or `Bearer ` is passed over. The caller must still compare the issue with the user's
    /// revocation.
    pub fn verify(&self, token: &str) -> Option<(UserId, u64)> {
        let token = without_scheme(token.trim());
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let mut mac = self.keyed.clone();
        mac.update(signed.as_bytes());
        // In constant time.
        mac.verify_slice(&signature).ok()?;
        let (user, issued) = signed.split_once('.')?;
        let user = String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?.parse().ok()?;
        let issued: [u8; 6] = URL_SAFE_NO_PAD.decode(issued).ok()?.try_into().ok()?;
        let issued = issued.iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte));
        Some((user, issued))
    }
}

fn without_scheme(token: &str) -> &str {
    for scheme in ["Bot ", "Bearer "] {
        if token.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
            return token[scheme.len()..].trim_start();
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    const USER: UserId = UserId::new(175_928_847_299_117_063);
    const ISSUED: u64 = 1_700_000_000_123;

    #[test]
    fn an_issued_token_is_verified_with_and_without_a_scheme() {
        let signer = Signer::new([7; 32]);
        let token = signer.issue(USER, ISSUED);
        for prefix in ["", "Bot ", "Bearer ", "bot ", " Bot  "] {
            assert_eq!(signer.verify(&format!("{prefix}{token}")), Some((USER, ISSUED)), "{prefix:?}");
        }
        for user in [1, u64::MAX] {
            let user = UserId::new(user);
            assert_eq!(signer.verify(&signer.issue(user, 0)), Some((user, 0)));
        }
    }

    #[test]
    fn a_token_has_the_shape_that_client_libraries_take_apart() {
        let token = Signer::new([7; 32]).issue(USER, ISSUED);
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts[0], "MTc1OTI4ODQ3Mjk5MTE3MDYz");
        assert_eq!([parts[1].len(), parts[2].len(), parts.len()], [8, 43, 3]);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    }

    #[test]
    fn any_changed_character_voids_a_token() {
        let signer = Signer::new([7; 32]);
        let token = signer.issue(USER, ISSUED);
        for place in 0..token.len() {
            for other in ["A", "z", "-", ".", "="] {
                let mut changed = token.clone();
                changed.replace_range(place..=place, other);
                if changed != token {
                    assert_eq!(signer.verify(&changed), None, "{changed}");
                }
            }
            assert_eq!(signer.verify(&token[..place]), None);
        }
        assert_eq!(signer.verify(&format!("{token}A")), None);
        assert_eq!(Signer::new([8; 32]).verify(&token), None, "another server's token");
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        let signer = Signer::new([7; 32]);
        for garbage in
            ["", ".", "..", "...", "Bot", "Bot ", "Bea\u{e4}rer x", "B\u{10ffff}t x.y.z", "a.b.c", "\0.\0.\0"]
        {
            assert_eq!(signer.verify(garbage), None);
        }
        assert_eq!(signer.verify(&"x.".repeat(100_000)), None);
        let mut prng = Prng::new(1);
        for _ in 0..20_000 {
            let text: String =
                (0..prng.below(90)).map(|_| b"AZaz09-_.=+/ \xc3"[prng.below(14) as usize] as char).collect();
            assert_eq!(signer.verify(&text), None);
        }
    }
}

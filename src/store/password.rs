//! Passwords of people, hashed with argon2id.
//!
//! Lives on: the thread `store-password` and the operator's commands. Never on an executor: one hash takes tens of
//! milliseconds on purpose.

use std::fmt;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::{OsRng, TryRngCore};

use crate::limits;
use crate::store::StoreError;

/// KiB that one hash fills. 19 MiB with two passes on one lane is what OWASP's Password Storage Cheat Sheet gives as
/// the smallest sound setting of argon2id: it costs an attacker's card memory, and a server that hashes one at a time
/// 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory; see [`MEMORY_KIB`].
const PASSES: u32 = 2;
/// Lanes: one, because one thread hashes.
const LANES: u32 = 1;

/// A password as the user typed it. Not shown by `Debug`, so it stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

fn hasher() -> Result<Argon2<'static>, StoreError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(error: &dyn fmt::Display) -> StoreError {
    StoreError::Failed(format!("the password cannot be hashed: {error}"))
}

/// Hashes a password with a fresh salt. The result is a PHC string, which carries its own parameters.
/// Fails for passwords longer than [`limits::PASSWORD_BYTES_MAX`].
pub fn hash_password(password: &Password) -> Result<String, StoreError> {
    if password.0.len() > limits::PASSWORD_BYTES_MAX {
        return Err(failed(&format_args!("it is longer than {} bytes", limits::PASSWORD_BYTES_MAX)));
    }
    let mut salt = [0; 16];
    OsRng.try_fill_bytes(&mut salt).map_err(|error| failed(&error))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| failed(&error))?;
    let hash = hasher()?.hash_password(password.0.as_bytes(), &salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Whether the password is the hashed one. A text that is no PHC string matches nothing.
pub fn check_password(password: &Password, phc: &str) -> bool {
    if password.0.len() > limits::PASSWORD_BYTES_MAX {
        return false;
    }
    // The parameters come from the PHC string, so hashes made with older ones stay good.
    let (Ok(hasher), Ok(hash)) = (hasher(), PasswordHash::new(phc)) else { return false };
    hasher.verify_password(password.0.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hashed_password_is_accepted() {
        let password = Password("correct horse".to_owned());
        let phc = hash_password(&password).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(check_password(&password, &phc));
        assert!(!check_password(&Password("correct horsf".to_owned()), &phc));
        assert_ne!(hash_password(&password).unwrap(), phc, "salts differ");
    }

    #[test]
    fn a_broken_hash_and_a_long_password_match_nothing() {
        for phc in ["", "$", "$argon2id$", "plain"] {
            assert!(!check_password(&Password(String::new()), phc));
        }
        assert!(hash_password(&Password("x".repeat(limits::PASSWORD_BYTES_MAX + 1))).is_err());
        assert_eq!(format!("{:?}", Password("geheim".to_owned())), "Password(hidden)");
    }
}

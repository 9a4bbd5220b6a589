//! How an older database becomes a current one.
//!
//! Lives on: the store's threads, once, when a database is opened.
//! Truth it holds: `PRAGMA user_version` is the number of [`MIGRATIONS`] that were carried out, each in a transaction
//! of its own together with the new number. Read next: `connection`.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::tables::MIGRATIONS;
use crate::store::StoreError;

/// Marks the file as ours (`GHLD`), so that another program's database is not migrated by accident.
const APPLICATION_ID: i32 = 0x4748_4c44;

/// The version that this program writes.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

fn version_of(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn refuse_newer(found: u32, path: &Path) -> Result<(), StoreError> {
    if found <= VERSION {
        return Ok(());
    }
    Err(StoreError::Failed(format!(
        "the database {} was written by a newer Guildhall: its schema is version {found}, this one knows up to {VERSION}; run the newer one",
        path.display()
    )))
}

/// Brings the database to [`VERSION`]. Refuses a newer one and one that is not Guildhall's.
pub fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    refuse_newer(version_of(connection)?, path)?;
    loop {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read again under the write lock: another process may have got here first.
        let found = version_of(&step)?;
        refuse_newer(found, path)?;
        let Some(migration) = MIGRATIONS.get(found as usize) else { return Ok(()) };
        if found == 0 {
            let tables: u32 = step.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables > 0 {
                let sentence = format!("{} is a database, but not one of Guildhall's", path.display());
                return Err(StoreError::Failed(sentence));
            }
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        for batch in *migration {
            step.execute_batch(batch)?;
        }
        step.pragma_update(None, "user_version", found + 1)?;
        step.commit()?;
    }
}

/// For connections that only read: the database must be at [`VERSION`] already.
pub fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version_of(connection)?;
    refuse_newer(found, path)?;
    if found == VERSION {
        return Ok(());
    }
    Err(StoreError::Failed(format!(
        "the database {} has schema version {found}; it must be opened for writing once to become version {VERSION}",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_is_brought_to_the_version_and_stays_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("x");
        migrate(&mut connection, path).unwrap();
        assert_eq!(version_of(&connection).unwrap(), VERSION);
        migrate(&mut connection, path).unwrap();
        check(&connection, path).unwrap();
    }

    #[test]
    fn a_newer_database_is_refused_with_both_numbers() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 4_321).unwrap();
        let sentence = migrate(&mut connection, Path::new("x.sqlite3")).unwrap_err().to_string();
        assert!(sentence.contains("version 4321") && sentence.contains(&format!("up to {VERSION}")), "{sentence}");
        assert!(sentence.contains("x.sqlite3"), "{sentence}");
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE users (name)").unwrap();
        assert!(migrate(&mut connection, Path::new("x")).unwrap_err().to_string().contains("not one of Guildhall's"));
        assert_eq!(version_of(&connection).unwrap(), 0);
    }

    #[test]
    fn a_reader_refuses_an_empty_database() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(check(&connection, Path::new("x")).is_err());
    }
}

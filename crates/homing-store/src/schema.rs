//! The schema and its migrations.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::StoreError;
use crate::columns::now_text;

/// The newest schema that this build knows; also `user_version` and `schema_metadata.version`.
pub(crate) const SCHEMA_VERSION: i64 = 3;

// Rows name contents by number, not by hash: a hash would stand in every row and once more in every index that the
// foreign keys need. Of two versions in a row (head and base, written and base) the second is NULL when its content is
// the first's (`mode` says so), which halves those indexes.
const VERSION_1: &str = include_str!("schema/v1.sql");
const VERSION_2: &str = include_str!("schema/v2.sql");
const VERSION_3: &str = include_str!("schema/v3.sql");

fn migrations() -> Migrations<'static> {
    Migrations::new(vec![M::up(VERSION_1), M::up(VERSION_2), M::up(VERSION_3)])
}

/// Returns the schema number that the database says it has; 0 when it is empty.
pub(crate) fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the database to [`SCHEMA_VERSION`], each migration in a transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let before = version(connection)?;
    if before == SCHEMA_VERSION {
        return Ok(());
    }
    migrations()
        .to_latest(connection)
        .map_err(|error| match error {
            // A table that is there already, or is not: whoever made this one did not come to the end.
            rusqlite_migration::Error::RusqliteError { err, .. } if is_logic_error(&err) => {
                StoreError::corrupt(format!("its schema is half made: {err}"))
            }
            rusqlite_migration::Error::RusqliteError { err, .. } => StoreError::from(err),
            other => StoreError::corrupt(other.to_string()),
        })?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT INTO schema_metadata(key, value) VALUES ('version', ?1)
         ON CONFLICT(key) DO UPDATE SET value = excluded.value",
        [SCHEMA_VERSION.to_string()],
    )?;
    transaction.execute(
        "INSERT INTO schema_metadata(key, value) VALUES ('created_at', ?1) ON CONFLICT(key) DO NOTHING",
        [now_text()],
    )?;
    transaction.commit()?;
    Ok(())
}

fn is_logic_error(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_ERROR)
}

/// Compares the schema with the one that the migrations make: a damaged one would give queries another meaning.
pub(crate) fn compare(connection: &Connection) -> Result<(), StoreError> {
    let mut expected = Connection::open_in_memory()?;
    migrate(&mut expected)?;
    if statements(connection)? == statements(&expected)? {
        return Ok(());
    }
    Err(StoreError::corrupt(
        "its schema is not the one that Homing makes",
    ))
}

fn statements(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name")?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid() {
        migrations().validate().unwrap();
    }

    #[test]
    fn user_version_and_metadata_agree() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let noted: String = connection
            .query_row(
                "SELECT value FROM schema_metadata WHERE key = 'version'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(version(&connection).unwrap(), SCHEMA_VERSION);
        assert_eq!(noted, SCHEMA_VERSION.to_string());
    }
}

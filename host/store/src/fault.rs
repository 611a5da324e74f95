//! What went wrong at the database, in words that help.

use portcullis_core::store::StoreError;

/// How far a failed write reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This write is wrong in itself; the store is well.
    Write,
    /// There is no room for this write; there may be for a smaller one.
    Room,
    /// As things are, no write can be done.
    Store,
}

impl Scope {
    fn of(code: Option<i32>) -> Self {
        match code {
            Some(TOO_BIG | CONSTRAINT) => Self::Write,
            Some(FULL) => Self::Room,
            _ => Self::Store,
        }
    }
}

/// A failed write.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) error: StoreError,
    pub(crate) scope: Scope,
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self { scope: Scope::of(primary_code(&error)), error: store_error(error) }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        // The upper bits of an extended code only detail the lower eight.
        let code = error.sqlite_error().map(|error| error.extended_code & 0xff);
        let advice = advice(code).unwrap_or(NO_ADVICE);
        Self { scope: Scope::of(code), error: StoreError::Unavailable(format!("{advice} ({error})")) }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { error, scope: Scope::Write }
    }
}

// Primary result codes: https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const IO_ERROR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    // The upper bits of an extended code only detail the lower eight.
    Some(code & 0xff)
}

/// Turns an error of the database into one that says what to do.
#[expect(clippy::needless_pass_by_value, reason = "a function to hand to map_err")]
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    let advice = match advice(primary_code(&error)) {
        Some(advice) => advice,
        None => match &error {
            sqlx::Error::PoolTimedOut => "all connections for reading are in use; try again",
            sqlx::Error::PoolClosed => return closed(),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => return StoreError::Damaged(error.to_string()),
            _ => NO_ADVICE,
        },
    };
    StoreError::Unavailable(format!("{advice} ({error})"))
}

const NO_ADVICE: &str = "the database does not answer as it should";

/// What to do about a primary result code.
fn advice(code: Option<i32>) -> Option<&'static str> {
    let advice = match code? {
        BUSY | LOCKED => "another process holds the database; end it, or wait until its backup has finished",
        READ_ONLY => "the database can only be read; look at the owner and mode of its file and at the mount",
        IO_ERROR => "the disk does not do what it is asked; look at the system's log, the disk and its file system",
        CORRUPT | NOT_A_DATABASE => {
            "the file is damaged or not a database; keep a copy of it and put a backup in its place"
        }
        FULL => "there is no room left; free space on the disk",
        CANNOT_OPEN => "the file cannot be opened; look at its path, and at the owner and mode of file and folder",
        TOO_BIG => "the record is larger than the database takes",
        CONSTRAINT => "the record contradicts what is stored",
        _ => return None,
    };
    Some(advice)
}

/// The answer to everything after [`crate::Store::close`].
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("it has been closed".to_owned())
}

/// A stored value that no version of this code has written.
pub(crate) fn damaged(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {value}"))
}

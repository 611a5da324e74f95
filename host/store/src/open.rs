//! Opening the database: options, file, connections, schema.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, SqlitePool};

use crate::direct::Direct;
use crate::fault::{Fault, store_error};
use crate::numbers::unsigned;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Bytes of a page, in a database that is made now; one that is there keeps its own. An event takes a kilobyte, and what a
/// commit costs beside the disk goes by the number of its pages.
const PAGE_SIZE: u32 = 8192;

/// Where the store is and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The database file. It is created with mode 0600, and its folder with mode 0700, when they are missing. SQLite
    /// keeps two more files beside it, with `-wal` and `-shm` after its name.
    pub path: PathBuf,
    /// How many writes may wait; one more is refused as [`StoreError::Overloaded`]. Between 1 and 1 000 000; what is
    /// outside is taken as the nearest.
    pub queue: usize,
    /// How long a write waits for another process that holds the database.
    pub busy_timeout: Duration,
    /// How many reads can run at the same time; at least 1.
    pub readers: u32,
    /// The most that the database file may grow to, in bytes; none leaves that to the disk. The `-wal` file comes on top.
    pub max_bytes: Option<u64>,
}

impl StoreOptions {
    /// Defaults: 4096 waiting writes, a busy timeout of 5 seconds, 4 readers, no limit to the size.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), queue: 4096, busy_timeout: Duration::from_secs(5), readers: 4, max_bytes: None }
    }
}

/// A database file that is there.
pub(crate) struct Database {
    options: SqliteConnectOptions,
    path: PathBuf,
    busy_timeout: Duration,
}

impl Database {
    /// Makes sure that the file is there and nobody else's to read.
    pub(crate) fn create(options: &StoreOptions) -> Result<Self, StoreError> {
        create_file(&options.path).map_err(|error| {
            StoreError::Unavailable(format!("{} cannot be created or opened: {error}", options.path.display()))
        })?;
        let (path, busy_timeout) = (options.path.clone(), options.busy_timeout);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(busy_timeout)
            .page_size(PAGE_SIZE)
            .foreign_keys(true)
            .disable_statement_logging();
        Ok(Self { options, path, busy_timeout })
    }

    /// Brings the schema to what this code knows.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        // Through a pool of one, because the future of `run` over a plain connection cannot move between threads.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(self.writer_options());
        let migrated = MIGRATIONS.run(&pool).await.map_err(schema_error);
        pool.close().await;
        migrated
    }

    pub(crate) async fn connect_writer(&self, max_bytes: Option<u64>) -> Result<SqliteConnection, Fault> {
        let mut connection = self.writer_options().connect().await?;
        if max_bytes.is_some() {
            limit_size(&mut connection, max_bytes).await?;
        }
        Ok(connection)
    }

    /// The connection of the writer's own thread. Blocks.
    pub(crate) fn connect_directly(&self, max_bytes: Option<u64>) -> Result<Direct, Fault> {
        Direct::open(&self.path, self.busy_timeout, max_bytes)
    }

    fn writer_options(&self) -> SqliteConnectOptions {
        self.options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    }

    pub(crate) fn readers(&self, count: u32) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(count.max(1))
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(self.options.clone().read_only(true))
    }
}

fn schema_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => {
            let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
            StoreError::Unavailable(format!(
                "the database was written by a newer version (its schema is {version}, this version knows {known}); \
                 use that version, or a backup from before the upgrade"
            ))
        }
        MigrateError::VersionMismatch(version) => {
            StoreError::Damaged(format!("its schema {version} is not the one that was released"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => store_error(error),
        other => StoreError::Unavailable(format!("the schema cannot be brought up to date: {other}")),
    }
}

/// Limits the size of the database for writes through this connection. A file that is larger already stays as it is.
/// Returns the limit in pages.
pub(crate) async fn limit_size(connection: &mut SqliteConnection, bytes: Option<u64>) -> Result<u64, Fault> {
    let page_size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
    let pages = pages(bytes, unsigned(page_size));
    // A pragma takes no parameters; what is put into the text here is a number.
    let sql = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    let set: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(unsigned(set))
}

/// A limit to the size in pages.
pub(crate) fn pages(bytes: Option<u64>, page_size: u64) -> u64 {
    /// The most pages that SQLite can have.
    const ALL: u64 = 4_294_967_294;
    bytes.map_or(ALL, |bytes| (bytes / page_size.max(1)).clamp(1, ALL))
}

fn create_file(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            // Without this, a loss of power could take the file's name although what is in it is safe.
            File::open(folder)?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                tracing::warn!(
                    path = %path.display(),
                    mode = format_args!("{mode:03o}"),
                    "others than the owner can read or write the event store; 600 is the safe mode"
                );
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

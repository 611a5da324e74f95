//! Profiles: what `behavior` has learned, up to which event, and what people decided about accounts.
//!
//! They are written in the background, many at a time, so each part of a writing is a transaction of its own that holds up no
//! decision for long. The process may end between two parts; that the mark is complete says that it did not.

use async_trait::async_trait;
use portcullis_core::event::Event;
use portcullis_core::profile::{DecidedKind, ProfileMark, ProfileStore, StoredProfile, Subject, SubjectKind};
use portcullis_core::store::{Sequence, StoreError, StoredEvent};
use portcullis_core::{AccountId, AccountKind};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use crate::Store;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, signed, timestamp, unsigned};
use crate::work::Work;

/// Profiles that one transaction writes, and that one statement does.
const MOST_AT_ONCE: usize = 512;
const MOST_ROWS: usize = 64;
/// Subjects that one statement asks for.
const MOST_ASKED: usize = 64;

/// A part of a writing.
pub(crate) struct Part {
    pub(crate) mark: ProfileMark,
    pub(crate) profiles: Vec<StoredProfile>,
}

#[async_trait]
impl ProfileStore for Store {
    async fn profiles(&self, subjects: &[Subject]) -> Result<Vec<StoredProfile>, StoreError> {
        let mut found = Vec::with_capacity(subjects.len());
        for part in subjects.chunks(MOST_ASKED) {
            let places = vec!["(?, ?)"; part.len()].join(",");
            let sql =
                format!("SELECT kind, key, mark, risk, value FROM profiles WHERE (kind, key) IN (VALUES {places})");
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for subject in part {
                query = query.bind(number(subject.kind())).bind(subject.key());
            }
            let rows = query.fetch_all(self.readers()).await.map_err(store_error)?;
            for row in &rows {
                found.push(stored_profile(row)?);
            }
        }
        Ok(found)
    }

    async fn riskiest(
        &self,
        kind: SubjectKind,
        after: Option<(u8, &str)>,
        limit: u32,
    ) -> Result<Vec<StoredProfile>, StoreError> {
        let (risk, key) = after.unwrap_or((u8::MAX, ""));
        let rows = sqlx::query(
            "SELECT kind, key, mark, risk, value FROM profiles
             WHERE kind = ?1 AND risk > 0 AND risk <= ?2 AND (risk < ?2 OR key > ?3) ORDER BY risk DESC, key LIMIT ?4",
        )
        .bind(number(kind))
        .bind(risk)
        .bind(key)
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(stored_profile).collect()
    }

    async fn put_risks(&self, decayed: Vec<StoredProfile>) -> Result<(), StoreError> {
        self.queue(Work::PutRisks(decayed))?.done().await.map(drop)
    }

    async fn profiles_after(
        &self,
        kind: SubjectKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredProfile>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, key, mark, risk, value FROM profiles
             WHERE kind = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3",
        )
        .bind(number(kind))
        .bind(after)
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(stored_profile).collect()
    }

    async fn put_profiles(&self, mark: ProfileMark, profiles: Vec<StoredProfile>) -> Result<(), StoreError> {
        let (mut rest, mut is_first) = (profiles, true);
        loop {
            let later = rest.split_off(rest.len().min(MOST_AT_ONCE));
            let is_last = later.is_empty();
            let ahead = if is_first || is_last { mark.ahead.clone() } else { Vec::new() };
            let part = Part {
                mark: ProfileMark { complete: mark.complete && is_last, ahead, ..mark },
                profiles: std::mem::replace(&mut rest, later),
            };
            is_first = false;
            self.queue(Work::PutProfiles(Box::new(part)))?.done().await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn profile_marks(&self) -> Result<Vec<ProfileMark>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, through, ahead, imported, complete FROM profile_marks
             WHERE number >= COALESCE((SELECT MAX(number) FROM profile_marks WHERE complete), 0) ORDER BY number",
        )
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(mark_of).collect()
    }

    async fn last_sequence(&self) -> Result<Sequence, StoreError> {
        Ok(Sequence(self.health().events))
    }

    async fn events_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.live_after(after.0, limit).await
    }

    async fn imported_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.past_after(after.0, limit).await
    }

    async fn decided_kinds(&self) -> Result<Vec<DecidedKind>, StoreError> {
        let rows: Vec<(String, String, String, String, i64)> =
            sqlx::query_as("SELECT account, login, kind, person, at FROM account_kinds ORDER BY account")
                .fetch_all(self.readers())
                .await
                .map_err(store_error)?;
        let decided = |(account, login, kind, person, at): (String, String, String, String, i64)| {
            let kind = if kind == "service" { AccountKind::Service } else { AccountKind::Human };
            DecidedKind { account: AccountId::new(account), login, kind, person, at: timestamp(at) }
        };
        Ok(rows.into_iter().map(decided).collect())
    }

    async fn decide_kind(
        &self,
        account: &AccountId,
        decision: Option<DecidedKind>,
        event: Event,
    ) -> Result<(), StoreError> {
        let (account, event) = (account.clone(), Box::new(EventRow::of(&event)?));
        self.queue(Work::DecideKind { account, decision, event })?.done().await.map(drop)
    }
}

/// Writes a part, and the mark with it.
pub(crate) async fn put(connection: &mut SqliteConnection, part: &Part) -> Result<u64, Fault> {
    let mark = &part.mark;
    let ahead: Vec<u8> = mark.ahead.iter().flat_map(|tag| tag.to_le_bytes()).collect();
    sqlx::query(
        "INSERT INTO profile_marks (number, through, ahead, imported, complete) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (number) DO UPDATE SET complete = excluded.complete",
    )
    .bind(signed(mark.number))
    .bind(signed(mark.through))
    .bind(ahead)
    .bind(signed(mark.imported))
    .bind(mark.complete)
    .execute(&mut *connection)
    .await?;
    for rows in part.profiles.chunks(MOST_ROWS) {
        let places = vec!["(?, ?, ?, ?, ?)"; rows.len()].join(",");
        let sql = format!("INSERT OR REPLACE INTO profiles (kind, key, mark, risk, value) VALUES {places}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for profile in rows {
            query = query
                .bind(number(profile.subject.kind()))
                .bind(profile.subject.key())
                .bind(signed(profile.mark))
                .bind(profile.risk)
                .bind(profile.value.as_slice());
        }
        query.execute(&mut *connection).await?;
    }
    if mark.complete {
        sqlx::query("DELETE FROM profile_marks WHERE number < ?1")
            .bind(signed(mark.number))
            .execute(connection)
            .await?;
    }
    Ok(u64::try_from(part.profiles.len()).unwrap_or(u64::MAX))
}

/// Writes down what is left of risks.
pub(crate) async fn put_risks(connection: &mut SqliteConnection, decayed: &[StoredProfile]) -> Result<u64, Fault> {
    let mut rows = 0;
    for profile in decayed {
        let done = sqlx::query("UPDATE profiles SET risk = ?1 WHERE kind = ?2 AND key = ?3 AND mark = ?4")
            .bind(profile.risk)
            .bind(number(profile.subject.kind()))
            .bind(profile.subject.key())
            .bind(signed(profile.mark))
            .execute(&mut *connection)
            .await?;
        rows += done.rows_affected();
    }
    Ok(rows)
}

/// Writes down what a person decided, or takes it back.
pub(crate) async fn decide(
    connection: &mut SqliteConnection,
    account: &AccountId,
    decision: Option<&DecidedKind>,
) -> Result<u64, Fault> {
    let Some(decision) = decision else {
        let done =
            sqlx::query("DELETE FROM account_kinds WHERE account = ?1").bind(account.as_str()).execute(connection);
        return Ok(done.await?.rows_affected());
    };
    let kind = if decision.kind == AccountKind::Service { "service" } else { "human" };
    let done = sqlx::query(
        "INSERT OR REPLACE INTO account_kinds (account, login, kind, person, at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(account.as_str())
    .bind(decision.login.as_str())
    .bind(kind)
    .bind(decision.person.as_str())
    .bind(millis(decision.at))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

fn number(kind: SubjectKind) -> i64 {
    match kind {
        SubjectKind::Account => 1,
        SubjectKind::Endpoint => 2,
        SubjectKind::Application => 3,
    }
}

fn stored_profile(row: &SqliteRow) -> Result<StoredProfile, StoreError> {
    let (kind, key): (i64, String) =
        (row.try_get("kind").map_err(store_error)?, row.try_get("key").map_err(store_error)?);
    let kinds = [SubjectKind::Account, SubjectKind::Endpoint, SubjectKind::Application];
    let subject = kinds.into_iter().find(|known| number(*known) == kind).and_then(|kind| Subject::of(kind, &key));
    let risk: i64 = row.try_get("risk").map_err(store_error)?;
    Ok(StoredProfile {
        subject: subject.ok_or_else(|| damaged("whose a profile is", format!("{kind}, {key}")))?,
        mark: unsigned(row.try_get("mark").map_err(store_error)?),
        value: row.try_get("value").map_err(store_error)?,
        risk: u8::try_from(risk.clamp(0, 100)).unwrap_or(0),
    })
}

fn mark_of(row: &SqliteRow) -> Result<ProfileMark, StoreError> {
    let ahead: &[u8] = row.try_get("ahead").map_err(store_error)?;
    let (tags, rest) = ahead.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(damaged("a mark of profiles", format!("{} octets of events", ahead.len())));
    }
    Ok(ProfileMark {
        number: unsigned(row.try_get("number").map_err(store_error)?),
        through: unsigned(row.try_get("through").map_err(store_error)?),
        ahead: tags.iter().map(|tag| u64::from_le_bytes(*tag)).collect(),
        imported: unsigned(row.try_get("imported").map_err(store_error)?),
        complete: row.try_get("complete").map_err(store_error)?,
    })
}

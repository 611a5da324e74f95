//! Learned behaviour: which account uses which endpoint.

use std::net::IpAddr;

use async_trait::async_trait;
use portcullis_core::AccountId;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory};
use portcullis_core::store::{LearnedStore, StoreError};
use sqlx::SqliteConnection;

use crate::Store;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{timestamp, unsigned};

#[async_trait]
impl LearnedStore for Store {
    async fn account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError> {
        if let Some(history) = self.memory().account(account) {
            return Ok(history);
        }
        let asked = self.memory().moment();
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT address, MIN(first_seen), MAX(last_seen), SUM(count) FROM (
                     SELECT address, first_seen, last_seen, count FROM associations WHERE account = ?1
                     UNION ALL SELECT address, at, at, 1 FROM sightings WHERE account = ?1)
                 GROUP BY address",
        )
        .bind(account.as_str())
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        let association = |(address, first_seen, last_seen, count): (String, i64, i64, i64)| {
            Ok(Association {
                address: address.parse().map_err(|_| damaged("the address of an endpoint", address))?,
                first_seen: timestamp(first_seen),
                last_seen: timestamp(last_seen),
                count: unsigned(count),
            })
        };
        let associations = rows.into_iter().map(association).collect::<Result<_, StoreError>>()?;
        let history = AccountHistory { associations };
        self.memory().remember_account(account, &history, asked);
        Ok(history)
    }

    async fn endpoint_history(&self, address: IpAddr) -> Result<EndpointHistory, StoreError> {
        if let Some(history) = self.memory().endpoint(address) {
            return Ok(history);
        }
        let asked = self.memory().moment();
        let accounts: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (
                 SELECT account FROM associations WHERE address = ?1
                 UNION SELECT account FROM sightings WHERE address = ?1)",
        )
        .bind(address.to_string())
        .fetch_one(self.readers())
        .await
        .map_err(store_error)?;
        let history = EndpointHistory { accounts: unsigned(accounts) };
        self.memory().remember_endpoint(address, history, asked);
        Ok(history)
    }
}

/// How many sightings are gathered before they are added to the associations. An account that is not remembered is looked
/// for among all of them, which takes some hundred microseconds at most.
const MOST_SIGHTINGS: u64 = 1024;

/// Adds the sightings to the associations, if there are enough of them. Returns how many there are now.
pub(crate) async fn settle(connection: &mut SqliteConnection, sightings: u64) -> Result<u64, Fault> {
    if sightings < MOST_SIGHTINGS {
        return Ok(sightings);
    }
    sqlx::query(
        "INSERT INTO associations (account, address, first_seen, last_seen, count)
         SELECT account, address, MIN(at), MAX(at), COUNT(*) FROM sightings WHERE TRUE GROUP BY account, address
         ON CONFLICT (account, address) DO UPDATE SET
             first_seen = MIN(first_seen, excluded.first_seen),
             last_seen = MAX(last_seen, excluded.last_seen),
             count = count + excluded.count",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM sightings").execute(connection).await?;
    Ok(0)
}

/// Whether [`settle`] would do something.
pub(crate) fn is_time_to_settle(sightings: u64) -> bool {
    sightings >= MOST_SIGHTINGS
}

//! Learned behaviour: which account uses which endpoint.

use std::collections::HashSet;
use std::net::IpAddr;

use async_trait::async_trait;
use portcullis_core::AccountId;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory, Observation};
use portcullis_core::store::{LearnedStore, StoreError};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::Store;
use crate::fault::{Fault, damaged, store_error};
use crate::memory::Learned;
use crate::numbers::{millis, timestamp, unsigned};

#[async_trait]
impl LearnedStore for Store {
    async fn account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError> {
        if let Some(history) = self.memory().account(account) {
            return Ok(history);
        }
        let asked = self.memory().moment();
        let rows: Vec<(String, i64, i64, i64)> =
            sqlx::query_as("SELECT address, first_seen, last_seen, count FROM associations WHERE account = ?1")
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
        // There is one association per account and address, so that counting them counts accounts.
        let accounts: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM associations WHERE address = ?1")
            .bind(address.to_string())
            .fetch_one(self.readers())
            .await
            .map_err(store_error)?;
        let history = EndpointHistory { accounts: unsigned(accounts) };
        self.memory().remember_endpoint(address, history, asked);
        Ok(history)
    }
}

/// Writes all observations of a transaction with one statement and says which associations they began.
pub(crate) async fn learn<'a>(
    connection: &mut SqliteConnection,
    observations: &[&'a Observation],
) -> Result<Vec<Learned<'a>>, Fault> {
    if observations.is_empty() {
        return Ok(Vec::new());
    }
    let mut upsert =
        QueryBuilder::<Sqlite>::new("INSERT INTO associations (account, address, first_seen, last_seen, count) ");
    upsert.push_values(observations, |mut values, observation| {
        let at = millis(observation.at);
        values
            .push_bind(observation.account.as_str())
            .push_bind(observation.address.to_string())
            .push_bind(at)
            .push_bind(at)
            .push("1");
    });
    upsert.push(
        " ON CONFLICT (account, address) DO UPDATE SET
             first_seen = MIN(first_seen, excluded.first_seen),
             last_seen = MAX(last_seen, excluded.last_seen),
             count = count + 1
         RETURNING account, address, count",
    );
    let rows: Vec<(String, String, i64)> = upsert.build_query_as().fetch_all(connection).await?;
    // In no certain order (SQLite, RETURNING, limitation 3).
    let mut begun: HashSet<_> =
        rows.into_iter().filter(|(.., count)| *count == 1).map(|(account, address, _)| (account, address)).collect();
    let learned = observations.iter().map(|observation| {
        let key = (observation.account.as_str().to_owned(), observation.address.to_string());
        Learned { observation, is_new: begun.remove(&key) }
    });
    Ok(learned.collect())
}

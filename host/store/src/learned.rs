//! Learned behaviour: which account uses which endpoint.

use std::net::IpAddr;

use async_trait::async_trait;
use portcullis_core::AccountId;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory, Observation};
use portcullis_core::store::{LearnedStore, StoreError};
use sqlx::SqliteConnection;

use crate::Store;
use crate::fault::{Fault, damaged, store_error};
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

/// Says whether the account had not used the endpoint before.
pub(crate) async fn learn(connection: &mut SqliteConnection, observation: &Observation) -> Result<bool, Fault> {
    let count: i64 = sqlx::query_scalar(
        "INSERT INTO associations (account, address, first_seen, last_seen, count) VALUES (?1, ?2, ?3, ?3, 1)
         ON CONFLICT (account, address) DO UPDATE SET
             first_seen = MIN(first_seen, excluded.first_seen),
             last_seen = MAX(last_seen, excluded.last_seen),
             count = count + 1
         RETURNING count",
    )
    .bind(observation.account.as_str())
    .bind(observation.address.to_string())
    .bind(millis(observation.at))
    .fetch_one(connection)
    .await?;
    Ok(count == 1)
}

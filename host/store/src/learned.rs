//! Learned behaviour: which account uses which endpoint.

use std::collections::HashMap;
use std::net::IpAddr;

use async_trait::async_trait;
use portcullis_core::AccountId;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory};
use portcullis_core::store::{LearnedStore, StoreError};

use crate::Store;
use crate::fault::{damaged, store_error};
use crate::numbers::{timestamp, unsigned};

#[async_trait]
impl LearnedStore for Store {
    async fn account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError> {
        match self.memory().account(account) {
            Some(history) => Ok(history),
            // In a box of its own: the room for a query would be in each question that memory can answer.
            None => Box::pin(self.read_account_history(account)).await,
        }
    }

    async fn endpoint_history(&self, address: IpAddr) -> Result<EndpointHistory, StoreError> {
        match self.memory().endpoint(address) {
            Some(history) => Ok(history),
            None => Box::pin(self.read_endpoint_history(address)).await,
        }
    }

    async fn endpoint_histories(&self, addresses: &[IpAddr]) -> Result<HashMap<IpAddr, EndpointHistory>, StoreError> {
        let mut known = HashMap::with_capacity(addresses.len());
        let mut missing = Vec::new();
        for address in addresses {
            match self.memory().endpoint(*address) {
                Some(history) => drop(known.insert(*address, history)),
                None => missing.push(address.to_string()),
            }
        }
        for part in missing.chunks(MOST_ADDRESSES) {
            let rows: Vec<(Option<String>, i64)> = sqlx::query_as(
                "WITH wanted AS MATERIALIZED (SELECT DISTINCT value AS address FROM json_each(?1)),
                     used AS (
                         SELECT associations.address, account FROM wanted JOIN associations USING (address)
                         UNION SELECT address, account FROM sightings WHERE address IN (SELECT address FROM wanted))
                 SELECT NULL, COALESCE(MAX(sequence), 0) FROM events
                 UNION ALL SELECT wanted.address, COUNT(account) FROM wanted LEFT JOIN used USING (address)
                     GROUP BY wanted.address",
            )
            .bind(serde_json::json!(part).to_string())
            .fetch_all(self.readers())
            .await
            .map_err(store_error)?;
            let through = rows.iter().find(|(address, _)| address.is_none()).map_or(0, |(_, through)| *through);
            for (address, accounts) in rows {
                let Some(address) = address else { continue };
                let address = address.parse().map_err(|_| damaged("the address of an endpoint", address))?;
                let history = EndpointHistory { accounts: unsigned(accounts) };
                self.memory().remember_endpoint(address, history, unsigned(through));
                known.insert(address, history);
            }
        }
        Ok(known)
    }
}

impl Store {
    async fn read_account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError> {
        // In one statement, so that it is known up to which event the rest is complete.
        let mut rows: Vec<(Option<String>, i64, i64, i64)> = sqlx::query_as(
            "SELECT NULL, COALESCE(MAX(sequence), 0), 0, 0 FROM events
                 UNION ALL SELECT address, MIN(first_seen), MAX(last_seen), SUM(count) FROM (
                     SELECT address, first_seen, last_seen, count FROM associations WHERE account = ?1
                     UNION ALL SELECT address, at, at, 1 FROM sightings WHERE account = ?1)
                 GROUP BY address",
        )
        .bind(account.as_str())
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        let through = rows.iter().position(|(address, ..)| address.is_none()).map(|place| rows.swap_remove(place).1);
        let association = |(address, first_seen, last_seen, count): (Option<String>, i64, i64, i64)| {
            let address = address.unwrap_or_default();
            Ok(Association {
                address: address.parse().map_err(|_| damaged("the address of an endpoint", address))?,
                first_seen: timestamp(first_seen),
                last_seen: timestamp(last_seen),
                count: unsigned(count),
            })
        };
        let associations = rows.into_iter().map(association).collect::<Result<_, StoreError>>()?;
        let history = AccountHistory { associations };
        self.memory().remember_account(account, &history, through.map_or(0, unsigned));
        Ok(history)
    }

    async fn read_endpoint_history(&self, address: IpAddr) -> Result<EndpointHistory, StoreError> {
        let (through, accounts): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COALESCE(MAX(sequence), 0) FROM events), (SELECT COUNT(*) FROM (
                 SELECT account FROM associations WHERE address = ?1
                 UNION SELECT account FROM sightings WHERE address = ?1))",
        )
        .bind(address.to_string())
        .fetch_one(self.readers())
        .await
        .map_err(store_error)?;
        let history = EndpointHistory { accounts: unsigned(accounts) };
        self.memory().remember_endpoint(address, history, unsigned(through));
        Ok(history)
    }
}

/// Addresses that one statement asks for.
const MOST_ADDRESSES: usize = 1024;

//! In-memory fakes of the core's traits, and a server that shows what is in them.
#![allow(dead_code, missing_docs, reason = "shared by the tests and the preview, each of which uses a part of it")]

mod channels;
mod demotions;
mod desk;
mod exclusions;
mod fences;
mod policies;
mod risks;
pub mod sample;
mod store;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use portcullis_core::cloud::SourceStatus;
use portcullis_core::status::ConnectorStatus;
use portcullis_core::{Clock, EventId, Ids, Timestamp};
use portcullis_web::WebState;

pub use channels::FakeChannels;
pub use demotions::FakeDemotions;
pub use desk::FakeDesk;
#[allow(unused_imports, reason = "the preview does not look at what pages say")]
pub use desk::Said;
pub use exclusions::FakeExclusions;
pub use fences::FakeFences;
pub use policies::FakePolicies;
pub use risks::FakeRisks;
pub use store::FakeStore;

/// 2026-11-24T10:00:00Z.
pub const BEGIN: u64 = 1_795_514_400_000;

/// A clock that only goes when it is told to.
pub struct FakeClock(pub AtomicU64);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl FakeClock {
    pub fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

/// Identifiers that are counted instead of random.
#[derive(Default)]
pub struct FakeIds(AtomicU64);

impl Ids for FakeIds {
    fn event_id(&self, at: Timestamp) -> EventId {
        let random = self.random();
        let tail = std::array::from_fn(|index| random[index]);
        EventId(uuid::Builder::from_unix_timestamp_millis(at.0, &tail).into_uuid())
    }

    fn random(&self) -> [u8; 16] {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        // Spreads the count over all bytes.
        (u128::from(count).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes()
    }
}

/// Everything behind a server.
pub struct World {
    pub desk: Arc<FakeDesk>,
    pub store: Arc<FakeStore>,
    pub risks: Arc<FakeRisks>,
    pub demotions: Arc<FakeDemotions>,
    pub exclusions: Arc<FakeExclusions>,
    pub channels: Arc<FakeChannels>,
    pub policies: Arc<FakePolicies>,
    pub fences: Arc<FakeFences>,
    pub clock: Arc<FakeClock>,
    pub ids: Arc<FakeIds>,
    pub healthy: Arc<AtomicBool>,
    pub connectors: Arc<Mutex<Vec<ConnectorStatus>>>,
    pub sources: Arc<Mutex<Vec<SourceStatus>>>,
}

impl World {
    pub fn new() -> Self {
        Self {
            desk: Arc::default(),
            store: Arc::default(),
            risks: Arc::default(),
            demotions: Arc::default(),
            exclusions: Arc::default(),
            channels: Arc::default(),
            policies: Arc::default(),
            fences: Arc::default(),
            clock: Arc::new(FakeClock(AtomicU64::new(BEGIN))),
            ids: Arc::default(),
            healthy: Arc::new(AtomicBool::new(true)),
            connectors: Arc::default(),
            sources: Arc::default(),
        }
    }

    pub fn state(&self) -> WebState {
        let (healthy, connectors) = (Arc::clone(&self.healthy), Arc::clone(&self.connectors));
        let sources = Arc::clone(&self.sources);
        WebState {
            desk: self.desk.clone(),
            events: self.store.clone(),
            incidents: self.store.clone(),
            settings: self.store.clone(),
            risks: self.risks.clone(),
            demotions: self.demotions.clone(),
            exclusions: self.exclusions.clone(),
            channels: self.channels.clone(),
            policies: self.policies.clone(),
            fences: self.fences.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            connectors: Arc::new(move || connectors.lock().unwrap().clone()),
            healthy: Arc::new(move || healthy.load(Ordering::SeqCst)),
            sources: Arc::new(move || sources.lock().unwrap().clone()),
        }
    }
}

/// Any free port of the loopback interface.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

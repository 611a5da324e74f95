//! From samples to figures.

use std::collections::BTreeMap;

use super::Peer;

/// One measurement of one server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Operations per second.
    pub(super) rate: f64,
    /// Processor time of the server, µs per operation.
    pub(super) cpu: f64,
    /// Processor time of the directory, µs per operation.
    pub(super) directory_cpu: f64,
    /// Half of the operations took no longer, in ms.
    pub(super) median: f64,
    /// 99 of 100 operations took no longer, in ms.
    pub(super) slow: f64,
    /// Processors that the generator used.
    pub(super) generator: f64,
    /// Processors that anybody else on the machine used.
    pub(super) others: f64,
}

/// The samples of one case: for each round, of each peer.
#[derive(Default)]
pub(super) struct Rounds(Vec<BTreeMap<Peer, Sample>>);

impl Rounds {
    /// Adds a round.
    pub(super) fn push(&mut self, round: BTreeMap<Peer, Sample>) {
        self.0.push(round);
    }

    /// The median of a figure over the rounds; nothing where the peer was not measured.
    pub(super) fn figure(&self, peer: Peer, of: fn(&Sample) -> f64) -> Option<f64> {
        median(self.0.iter().filter_map(|round| round.get(&peer)).map(of).collect())
    }

    /// A figure of one peer divided by another's, in each round; the median. What disturbs a whole round cancels out.
    pub(super) fn ratio(&self, peer: Peer, to: Peer, of: fn(&Sample) -> f64) -> Option<f64> {
        let ratios = self.0.iter().filter_map(|round| Some(of(round.get(&peer)?) / of(round.get(&to)?)));
        median(ratios.filter(|ratio| ratio.is_finite()).collect())
    }
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The smallest of the sorted values that is not exceeded by so many percent of them; 0 where there are none.
pub(super) fn quantile(sorted: &[u32], percent: usize) -> u32 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64) -> Sample {
        Sample { rate, cpu: 0.0, directory_cpu: 0.0, median: 0.0, slow: 0.0, generator: 0.0, others: 0.0 }
    }

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&[], 99), 0);
        assert_eq!(quantile(&[5], 50), 5);
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 99), quantile(&hundred, 100)), (50, 99, 100));
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut rounds = Rounds::default();
        // The machine is ten times slower in the second round; the ratio stays.
        for speed in [1.0, 0.1, 1.0] {
            let round = [(Peer::Direct, sample(1000.0 * speed)), (Peer::Gateway, sample(800.0 * speed))];
            rounds.push(round.into_iter().collect());
        }
        rounds.push(BTreeMap::from([(Peer::Gateway, sample(1.0))]));
        let ratio = rounds.ratio(Peer::Gateway, Peer::Direct, |sample| sample.rate).unwrap();
        assert!((ratio - 0.8).abs() < 1e-9, "{ratio}");
        assert_eq!(rounds.ratio(Peer::Gateway, Peer::Haproxy, |sample| sample.rate), None);
        assert_eq!(rounds.ratio(Peer::Gateway, Peer::Direct, |sample| sample.cpu), None, "no division by nothing");
        assert_eq!(rounds.figure(Peer::Direct, |sample| sample.rate), Some(1000.0));
    }
}

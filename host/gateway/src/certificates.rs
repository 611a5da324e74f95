//! The certificates that the gateway shows, and how they are replaced while it runs.

use std::fmt;

use tokio::sync::watch;

use crate::config::Problem;

/// Reads one certificate again. What comes back puts it into force.
type Load = Box<dyn Fn() -> Result<Box<dyn FnOnce()>, Problem> + Send + Sync>;

/// All certificates in use.
#[derive(Default)]
pub(crate) struct Certificates(Vec<Load>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.len()).finish()
    }
}

impl Certificates {
    /// Loads a certificate, and remembers how. The receiver holds whatever was put into force last.
    pub(crate) fn add<T: Send + Sync + 'static>(
        &mut self,
        load: impl Fn() -> Result<T, Problem> + Send + Sync + 'static,
    ) -> Result<watch::Receiver<T>, Problem> {
        let (sender, receiver) = watch::channel(load()?);
        self.0.push(Box::new(move || {
            let (loaded, sender) = (load()?, sender.clone());
            Ok(Box::new(move || drop(sender.send_replace(loaded))))
        }));
        Ok(receiver)
    }

    /// Reads all of them again and puts them into force: all, or none when there is a problem with any, so that what is
    /// shown is never half old and half new. How many there are. Blocks while it reads.
    pub(crate) fn reload(&self) -> Result<usize, Vec<Problem>> {
        let (mut loaded, mut problems) = (Vec::new(), Vec::new());
        for load in &self.0 {
            match load() {
                Ok(swap) => loaded.push(swap),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        loaded.into_iter().for_each(|swap| swap());
        Ok(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    #[test]
    fn all_are_replaced_or_none() {
        let (made, broken) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let mut certificates = Certificates::default();
        let first = certificates.add({
            let made = Arc::clone(&made);
            move || Ok(made.fetch_add(1, Ordering::Relaxed))
        });
        let second = certificates.add({
            let broken = Arc::clone(&broken);
            move || if broken.load(Ordering::Relaxed) { Err(Problem::new(["web"], "broken")) } else { Ok("fine") }
        });
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((*first.borrow(), *second.borrow()), (0, "fine"));
        assert_eq!(certificates.reload(), Ok(2));
        assert_eq!(*first.borrow(), 1);
        broken.store(true, Ordering::Relaxed);
        assert_eq!(certificates.reload(), Err(vec![Problem::new(["web"], "broken")]));
        assert_eq!(*first.borrow(), 1, "the first was read again, and not put into force");
        broken.store(false, Ordering::Relaxed);
        assert_eq!(certificates.reload(), Ok(2));
        assert_eq!(*first.borrow(), 3);
    }
}

//! Policies that do harm: each fault has its name, and none outlives its call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::plugin::{PluginFault, Policy};
use portcullis_core::policy::Verdict;
use portcullis_engine::{PolicyLimits, PolicySpec};

use crate::support::guest::{self, About};
use crate::support::{Plugins, access, policy_spec};

/// What an evaluation of a policy with this body comes to, the second time: the first leaves a broken instance behind.
fn fault(evaluate: &str) -> PluginFault {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::policy(&About::default(), evaluate));
    let policy = plugins.engine().load_policy(policy_spec("x.wasm")).unwrap();
    let ask = || policy.evaluate(&access(), &Arc::default(), &[]).unwrap_err();
    let first = ask();
    assert_eq!(ask(), first);
    first
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let before = Instant::now();
    assert_eq!(fault("(loop $again (br $again))"), PluginFault::Deadline(250));
    assert!(before.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_trap_is_a_trap() {
    assert!(matches!(fault("unreachable"), PluginFault::Trap(text) if text.contains("unreachable")));
    assert!(matches!(fault("(i32.store (i32.const -8) (i32.const 1))"), PluginFault::Trap(_)));
    assert!(matches!(fault("(drop (i32.div_u (i32.const 1) (i32.const 0)))"), PluginFault::Trap(_)));
}

#[test]
fn memory_ends_at_the_limit() {
    let grow = "(loop $again (drop (memory.grow (i32.const 16))) (br $again))";
    assert!(matches!(fault(grow), PluginFault::Limit(text) if text.contains("memory")));
    let at_once = "(drop (memory.grow (i32.const 60000)))";
    assert!(matches!(fault(at_once), PluginFault::Limit(text) if text.contains("memory")));
}

#[test]
fn recursion_ends_at_the_end_of_the_stack() {
    assert_eq!(fault("(drop (call $deep (i32.const 0)))"), PluginFault::Limit("stack".into()));
}

#[test]
fn an_answer_that_is_too_large_is_not_copied() {
    let large = "(drop (memory.grow (i32.const 64))) (i32.store (i32.const 88) (i32.const 4000000))";
    assert!(matches!(fault(large), PluginFault::Limit(text) if text.contains("fuel")));
}

#[test]
fn an_answer_that_is_no_answer_is_a_trap() {
    for nonsense in [
        "(call $verdict (i32.const 9))",
        "(i32.store (i32.const 84) (i32.const -4))",
        // A reason that is not UTF-8.
        "(i32.store8 (i32.const 768) (i32.const 255))",
    ] {
        assert!(matches!(fault(nonsense), PluginFault::Trap(_)), "{nonsense}");
    }
}

#[test]
fn a_call_after_a_fault_is_answered_by_a_fresh_instance() {
    let plugins = Plugins::new();
    // Traps in the third call of each instance, and in no other.
    let third = "(if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))";
    plugins.add("x.wasm", &guest::policy(&About::default(), third));
    plugins.add("y.wasm", &guest::policy(&About::default(), "(call $verdict (i32.const 3))"));
    let engine = plugins.engine();
    let policy = engine.load_policy(policy_spec("x.wasm")).unwrap();
    let other = engine.load_policy(policy_spec("y.wasm")).unwrap();
    let ask = || policy.evaluate(&access(), &Arc::default(), &[]);
    let answers: Vec<bool> = (0..6).map(|_| ask().is_ok()).collect();
    assert_eq!(answers, [true, true, false, true, true, false]);
    let ruling = other.evaluate(&access(), &Arc::default(), &[]).unwrap();
    assert_eq!(ruling.verdict, Verdict::Block, "another policy does not notice");
}

#[test]
fn instances_are_replaced_after_so_many_calls() {
    let plugins = Plugins::new();
    // Blocks when it is not its instance's first call.
    let stateful = "(if (i32.gt_u (global.get $calls) (i32.const 1)) (then (call $verdict (i32.const 3))))";
    plugins.add("x.wasm", &guest::policy(&About::default(), stateful));
    let verdicts = |calls_per_instance| {
        let limits = PolicyLimits { calls_per_instance, ..PolicyLimits::default() };
        let policy = plugins.engine().load_policy(PolicySpec { limits, ..policy_spec("x.wasm") }).unwrap();
        let ask = || policy.evaluate(&access(), &Arc::default(), &[]).unwrap().verdict;
        [ask(), ask(), ask()]
    };
    assert_eq!(verdicts(1), [Verdict::Allow, Verdict::Allow, Verdict::Allow]);
    assert_eq!(verdicts(2), [Verdict::Allow, Verdict::Block, Verdict::Allow]);
}

#[test]
fn a_flood_of_log_lines_is_bounded() {
    let flood = "(loop $again
        (call $write (i32.const 1) (i32.const 768) (i32.const 13))
        (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))";
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::policy(&About::default(), flood));
    let limits = PolicyLimits { call_timeout: Duration::from_secs(30), log_lines: 10, ..PolicyLimits::default() };
    let policy = plugins.engine().load_policy(PolicySpec { limits, ..policy_spec("x.wasm") }).unwrap();
    let counter = counting::Counter::default();
    tracing::subscriber::with_default(counter.clone(), || {
        policy.evaluate(&access(), &Arc::default(), &[]).unwrap();
    });
    assert_eq!(counter.lines(), 11, "ten lines, and one that says that there were more");
}

#[test]
fn a_log_line_that_is_too_large_is_not_copied() {
    let line = "(drop (memory.grow (i32.const 64))) (call $write (i32.const 1) (i32.const 0) (i32.const 4000000))";
    assert!(matches!(fault(line), PluginFault::Limit(text) if text.contains("fuel")));
}

#[test]
fn callers_wait_for_a_place_and_then_hear_that_the_policy_is_busy() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::policy(&About::default(), "(loop $again (br $again))"));
    let limits = PolicyLimits { concurrency: 1, call_timeout: Duration::from_millis(200), ..PolicyLimits::default() };
    let policy = plugins.engine().load_policy(PolicySpec { limits, ..policy_spec("x.wasm") }).unwrap();
    let ask = || policy.evaluate(&access(), &Arc::default(), &[]).unwrap_err();
    let faults = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(faults.contains(&PluginFault::Deadline(200)), "{faults:?}");
    assert!(faults.contains(&PluginFault::Busy), "{faults:?}");
    assert_eq!(ask(), PluginFault::Deadline(200), "the place is free again");
}

#[test]
fn whoever_has_used_up_its_time_is_slow_and_whoever_has_trapped_is_not() {
    for (evaluate, slow) in [("(loop $again (br $again))", true), ("unreachable", false)] {
        let plugins = Plugins::new();
        plugins.add("x.wasm", &guest::policy(&About::default(), evaluate));
        let policy = plugins.engine().load_policy(policy_spec("x.wasm")).unwrap();
        assert!(!policy.is_slow(), "{evaluate}: nobody has asked it yet");
        policy.evaluate(&access(), &Arc::default(), &[]).unwrap_err();
        assert_eq!(policy.is_slow(), slow, "{evaluate}");
    }
}

mod counting {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Counts what plugins say.
    #[derive(Clone, Default)]
    pub struct Counter(Arc<AtomicUsize>);

    impl Counter {
        pub fn lines(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Subscriber for Counter {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "plugin"
        }
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
}

use super::{run, safety};
use crate::referee::Count;
use crate::report::summary::summary;
use crate::report::table::{decimal, difference, length, ms, percent, whole};

#[test]
fn a_run_is_told_in_full() {
    let text = summary(&run(), true);
    for part in [
        "gc-pause: 40 nodes, 200 names (zipf:1.0), 2000.0/s poisson for 30 s, held for 2.000 ms, TTL 5 s, \
         2 x pause-node of 6500 ms to 7 s, seed 7\n",
        "quorum lock: 59,961 of 60,000 acquisitions granted, 1998.7/s of 2000.0/s offered; \
         not granted: 30 held, 9 no_quorum; 12 came due while a fault held their node\n",
        "contention: 0.420 retries per grant, at most 17 at once for one name, fairness 0.997\n",
        "renewals: 6 of 8 succeeded (75.00 %), least slack 2400.0 ms\n",
        "promises kept\n",
        "used: 21.50 s of processor time and 180.0 MiB by the nodes, 9.250 s by the servers\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains("| renew "), "nothing was renewed, so there is no row for it");
    assert!(text.contains("| acquire "), "{text}");
}

#[test]
fn bad_news_is_not_to_be_overlooked() {
    let mut bad = run();
    bad.safety.contract_overlaps = Count::new(3, 1_000);
    (bad.valid, bad.invalid_because, bad.complete) = (false, vec!["sent late".to_owned()], false);
    let text = summary(&bad, true);
    assert!(text.contains("PROMISE BROKEN: 3 grants while another lease"), "{text}");
    assert!(text.contains("INVALID: sent late") && text.contains("INCOMPLETE: "), "{text}");
    assert!(!text.contains("promises kept"));
}

#[test]
fn a_lock_without_promises_breaks_none() {
    let mut naive = run();
    (naive.lock, naive.safety) = ("setnx".to_owned(), safety(None));
    naive.safety.contract_overlaps = Count::new(3, 1_000);
    let text = summary(&naive, false);
    assert!(
        text.contains("the setnx lock promises no exclusion") && !text.contains("PROMISE BROKEN"),
        "{text}"
    );
    assert!(text.contains("no tokens"), "{text}");
}

#[test]
fn figures_are_readable() {
    let grouped = [0, 999, 1_000, 1_234_567].map(whole);
    assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0.5, 9.9994, 12.345, 1_234.56].map(decimal),
        ["0.500", "9.999", "12.35", "1234.6"].map(str::to_owned)
    );
    assert_eq!((ms(Some(812.5)), ms(None)), ("0.812".to_owned(), "-".to_owned()));
    assert_eq!((length(30_000), length(1_500)), ("30 s".to_owned(), "1500 ms".to_owned()));
    let shares = [Some(0.0), Some(0.00005), Some(0.0034), Some(0.18), None].map(percent);
    assert_eq!(shares, ["0 %", "5.0e-3 %", "0.340 %", "18.00 %", "-"]);
    assert_eq!(difference(Some(2.0), Some(3.0)), "+50.0 %");
    assert_eq!(
        (difference(Some(0.0), Some(3.0)), difference(None, Some(1.0))),
        ("-".to_owned(), "-".to_owned())
    );
}

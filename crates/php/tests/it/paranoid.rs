//! What an earlier request has left in memory that nobody reads: there where PHP's free memory is not wiped, and else nowhere.

use hostel_wire::fresh::Fresh;

use crate::front::get;
use crate::limits;
use crate::site::{Site, Wishes};

/// How often a later request of the same worker finds what an earlier one had in memory, time and again.
fn found(fresh: Fresh) -> Vec<u64> {
    let wishes = Wishes {
        fresh,
        admin_values: &[("ffi.enable", "1")],
        ..Wishes::default()
    };
    let mut site = Site::start("random", &wishes);
    let mut worker = site.worker();
    let mut counts = Vec::new();
    for _ in 0..20 {
        assert_eq!(worker.front.ask(&get("/mark.php")).text(), "marked");
        assert_eq!(worker.front.ask(&get("/hello.php")).text(), "hello");
        let answer = worker.front.ask(&get("/look.php"));
        assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
        counts.push(answer.text().parse().unwrap());
    }
    counts
}

#[test]
fn no_byte_of_an_earlier_request_is_left_where_memory_is_wiped() {
    let counts = found(Fresh::Paranoid);
    assert!(counts.iter().all(|count| *count == 0), "{counts:?}");
}

#[test]
fn where_free_memory_is_not_wiped_bytes_of_an_earlier_request_may_stand_in_it() {
    let counts = found(Fresh::On);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

/// Processor time of a worker for each of so many requests, in microseconds: the median of five rounds.
fn cost(fresh: Fresh) -> u64 {
    let wishes = Wishes {
        fresh,
        ..Wishes::default()
    };
    let mut site = Site::start("fresh", &wishes);
    let mut worker = site.worker();
    let ask = get("/information.php");
    for _ in 0..50 {
        worker.front.ask(&ask);
    }
    limits::cost(&mut worker, "/information.php") / 1000
}

#[test]
fn the_cost_of_wiping_is_said() {
    let (on, paranoid) = (cost(Fresh::On), cost(Fresh::Paranoid));
    println!("phpinfo: {on} us of a processor, where memory is wiped {paranoid}");
    assert!(paranoid < on + 5_000, "{on} {paranoid}");
}

//! What an answer looks like.

use crate::front::get;
use crate::site::{Site, Wishes};

#[test]
fn hello_leaves_as_one_write() {
    let mut site = Site::start("basics", &Wishes::default());
    let mut worker = site.worker();
    let answer = worker.front.ask(&get("/hello.php"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(
        answer.header("Content-type"),
        Some("text/html; charset=UTF-8")
    );
    assert_eq!(worker.front.reads, 1);
    assert!(
        answer
            .end
            .is_some_and(|end| !end.last && end.memory_kib > 0)
    );
}

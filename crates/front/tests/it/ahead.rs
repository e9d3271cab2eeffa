//! Requests that are sent to a worker while it has another one still.

use std::time::Duration;

use hostel_front::handoff::{HandoffError, Outcome};
use hostel_front::spill::Body;
use hostel_wire::front_keeper::KeeperToFront;
use hostel_wire::front_worker::{from_worker, to_worker};
use hostel_wire::keeper_zygote::Death;
use tokio::task::JoinHandle;

use crate::front::{Peer, Player, Stage, end, head, make_frame, patient_entry, play, read};

type Request = JoinHandle<Result<Outcome, HandoffError>>;

/// A site of this many workers at most, whose pages are known to be quick, and one worker of it.
async fn quick(workers_max: u32) -> (Stage, Peer, Player) {
    let mut entry = patient_entry();
    entry.workers_max = workers_max;
    let stage = Stage::new(entry);
    let request = stage.request(Body::Empty);
    let keeper = stage.wake().await;
    let mut worker = keeper.start_worker().await;
    worker.request().await;
    let answer = worker.answer(b"first");
    worker.write(&answer).await;
    assert!(read(request.await.unwrap()).await.is_ok());
    // What the first one took counts whole, and the start of a test is slow.
    for _ in 0..40 {
        let request = stage.request(Body::Empty);
        worker.request().await;
        let answer = worker.answer(b"quick");
        worker.write(&answer).await;
        assert!(read(request.await.unwrap()).await.is_ok());
    }
    (stage, keeper, worker)
}

/// Two requests at once: the worker has the first and, as a test of it shows, the second behind it. Returns the number of the second.
async fn two(stage: &Stage, worker: &mut Player) -> (Request, Request, u32) {
    let first = stage.request(Body::Empty);
    worker.request().await;
    let second = stage.request(Body::Empty);
    let (head, _) = worker.frame().await.expect("it is sent ahead");
    assert_eq!(head.kind, to_worker::REQUEST);
    (first, second, head.request)
}

fn answer_to(request: u32, body: &[u8]) -> Vec<u8> {
    [
        make_frame(request, from_worker::HEAD, &head(200, &[])),
        make_frame(request, from_worker::BODY, body),
        make_frame(request, from_worker::END, &end(false)),
    ]
    .concat()
}

#[test]
fn each_gets_its_own_answer_even_when_both_come_at_once() {
    play(async {
        let (stage, _keeper, mut worker) = quick(1).await;
        let (first, second, number) = two(&stage, &mut worker).await;
        let both = [worker.answer(b"one"), answer_to(number, b"two")].concat();
        worker.write(&both).await;
        let answers = (
            read(first.await.unwrap()).await,
            read(second.await.unwrap()).await,
        );
        assert_eq!(
            answers,
            (Ok((200, b"one".to_vec())), Ok((200, b"two".to_vec())))
        );
        assert_eq!(stage.error_log(), "");
    });
}

#[test]
fn several_wait_behind_one_and_are_answered_in_their_order() {
    play(async {
        let (stage, _keeper, mut worker) = quick(1).await;
        let (first, second, number) = two(&stage, &mut worker).await;
        let third = stage.request(Body::Empty);
        let (head, _) = worker.frame().await.expect("it is sent ahead too");
        let all = [
            worker.answer(b"one"),
            answer_to(number, b"two"),
            answer_to(head.request, b"three"),
        ];
        worker.write(&all.concat()).await;
        for (request, body) in [(first, "one"), (second, "two"), (third, "three")] {
            let answer = read(request.await.unwrap()).await;
            assert_eq!(answer, Ok((200, body.as_bytes().to_vec())));
        }
        // And the worker is as good as before.
        let (first, second, number) = two(&stage, &mut worker).await;
        let both = [worker.answer(b"one"), answer_to(number, b"two")].concat();
        worker.write(&both).await;
        assert!(read(first.await.unwrap()).await.is_ok());
        assert!(read(second.await.unwrap()).await.is_ok());
        assert_eq!(stage.error_log(), "");
    });
}

#[test]
fn what_several_left_unread_goes_to_the_next_worker_in_its_order() {
    play(async {
        let (stage, keeper, mut worker) = quick(1).await;
        let first = stage.request(Body::Empty);
        worker.request().await;
        let others: Vec<Request> = (0..3).map(|_| stage.request(Body::Empty)).collect();
        tokio::time::sleep(Duration::from_millis(2)).await;
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Signalled(11)));
        drop(worker);
        assert_eq!(first.await.unwrap().err(), Some(HandoffError::WorkerDied));
        let mut worker = keeper.start_worker().await;
        for (request, body) in others.into_iter().zip([b"two", b"thr", b"for"]) {
            worker.request().await;
            let answer = worker.answer(body);
            worker.write(&answer).await;
            assert_eq!(read(request.await.unwrap()).await, Ok((200, body.to_vec())));
        }
    });
}

#[test]
fn an_answer_to_the_second_before_the_first_is_refused() {
    play(async {
        let (stage, keeper, mut worker) = quick(1).await;
        let (first, second, number) = two(&stage, &mut worker).await;
        worker.write(&answer_to(number, b"two")).await;
        assert_eq!(first.await.unwrap().err(), Some(HandoffError::Protocol));
        // It had read of the second, so that nobody knows what became of it.
        assert_eq!(second.await.unwrap().err(), Some(HandoffError::WorkerDied));
        assert_eq!(keeper.kill().await, worker.id);
    });
}

#[test]
fn what_waits_behind_a_slow_one_goes_to_another_worker() {
    play(async {
        let (stage, keeper, mut slow) = quick(2).await;
        let first = stage.request(Body::Empty);
        slow.request().await;
        let second = stage.request(Body::Empty);
        // The slow one does not look, so that it can be taken back.
        let mut other = keeper.start_worker().await;
        other.request().await;
        let answer = other.answer(b"two");
        other.write(&answer).await;
        assert_eq!(
            read(second.await.unwrap()).await,
            Ok((200, b"two".to_vec()))
        );
        let answer = slow.answer(b"one");
        slow.write(&answer).await;
        assert_eq!(read(first.await.unwrap()).await, Ok((200, b"one".to_vec())));
        assert_eq!(stage.error_log(), "");
    });
}

#[test]
fn what_a_dead_worker_has_not_read_goes_to_the_next_one() {
    play(async {
        let (stage, keeper, mut worker) = quick(1).await;
        let first = stage.request(Body::Empty);
        worker.request().await;
        let second = stage.request(Body::Empty);
        tokio::time::sleep(Duration::from_millis(2)).await;
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Signalled(11)));
        drop(worker);
        assert_eq!(first.await.unwrap().err(), Some(HandoffError::WorkerDied));
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"two");
        worker.write(&answer).await;
        assert_eq!(
            read(second.await.unwrap()).await,
            Ok((200, b"two".to_vec()))
        );
    });
}

#[test]
fn a_worker_that_ends_after_its_answer_leaves_the_next_one_to_another() {
    play(async {
        let (stage, keeper, mut worker) = quick(1).await;
        let first = stage.request(Body::Empty);
        worker.request().await;
        let second = stage.request(Body::Empty);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut last = worker.make(from_worker::HEAD, &head(200, &[]));
        last.extend(worker.make(from_worker::END, &end(true)));
        worker.write(&last).await;
        assert!(read(first.await.unwrap()).await.is_ok());
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Exited(0)));
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"two");
        worker.write(&answer).await;
        assert_eq!(
            read(second.await.unwrap()).await,
            Ok((200, b"two".to_vec()))
        );
        assert_eq!(stage.error_log(), "");
    });
}

#[test]
fn a_client_that_left_is_told_when_its_turn_comes() {
    play(async {
        let (stage, _keeper, mut worker) = quick(1).await;
        let (first, second, number) = two(&stage, &mut worker).await;
        second.abort();
        let answer = worker.answer(b"one");
        worker.write(&answer).await;
        assert_eq!(read(first.await.unwrap()).await, Ok((200, b"one".to_vec())));
        while !worker.end.has_client_left(number) {
            tokio::task::yield_now().await;
        }
        worker.write(&answer_to(number, b"nobody reads this")).await;
        let third = stage.request(Body::Empty);
        let (head, _) = worker.frame().await.unwrap();
        worker.write(&answer_to(head.request, b"three")).await;
        assert_eq!(
            read(third.await.unwrap()).await,
            Ok((200, b"three".to_vec()))
        );
    });
}

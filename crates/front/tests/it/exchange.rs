//! The rules of the worker's channel, each of them broken by a scripted worker.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_front::disk::Disk;
use hostel_front::handoff::{HandoffError, Outcome};
use hostel_front::spill::{Body, Share};
use hostel_front::supply::Supply;
use hostel_wire::front_keeper::KeeperToFront;
use hostel_wire::front_worker::{FrameHead, from_worker};
use hostel_wire::keeper_zygote::Death;
use hostel_wire::limits;

use crate::front::{Player, Stage, end, head, make_frame, patient_entry, play, read};

fn spilled(file: File, length: u64) -> Body {
    let disk = Rc::new(Disk::default()).site();
    let share = Share::new(length, Supply::new(2).portion(), disk);
    let claim = share.claim().expect("a file");
    Body::Spilled {
        file,
        length,
        claim,
    }
}

fn in_memory(bytes: Vec<u8>) -> Body {
    let supply = Supply::new(2 * bytes.len());
    let taken = supply.portion().take(bytes.len()).expect("half of all");
    Body::Memory { bytes, taken }
}

/// What a worker sends instead of an answer must cost its request, itself, and nobody else.
fn refuses(bytes: impl FnOnce(&Player) -> Vec<u8> + 'static, expected: HandoffError) {
    play(async move {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let bytes = bytes(&worker);
        worker.write(&bytes).await;
        assert_eq!(request.await.unwrap().err(), Some(expected));
        worker.is_closed().await;
        assert_eq!(keeper.kill().await, worker.id);
        assert!(
            stage.error_log().contains("is killed"),
            "{}",
            stage.error_log()
        );
        // The next request has another worker, and its own answer.
        let request = stage.request(Body::Empty);
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"well");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"well".to_vec()))
        );
    });
}

fn refuses_frames(frames: &'static [(u8, &'static [u8])]) {
    let make = |worker: &Player| {
        frames
            .iter()
            .flat_map(|(kind, payload)| worker.make(*kind, payload))
            .collect()
    };
    refuses(make, HandoffError::Protocol);
}

#[test]
fn a_body_before_the_head() {
    refuses_frames(&[(from_worker::BODY, b"x")]);
}

#[test]
fn an_end_before_the_head() {
    refuses_frames(&[(from_worker::END, &[0, 0, 0, 0, 0])]);
}

#[test]
fn a_finish_before_the_head() {
    refuses_frames(&[(from_worker::FINISH, b"")]);
}

#[test]
fn a_head_after_missing() {
    refuses_frames(&[
        (from_worker::MISSING, &[0]),
        (from_worker::HEAD, &[200, 0, 0, 0, 0, 0]),
    ]);
}

#[test]
fn a_missing_of_no_known_kind() {
    refuses_frames(&[(from_worker::MISSING, &[2])]);
}

#[test]
fn a_kind_that_does_not_exist() {
    refuses_frames(&[(7, b"")]);
}

#[test]
fn a_head_that_is_cut() {
    refuses_frames(&[(from_worker::HEAD, &[200])]);
}

#[test]
fn a_log_that_is_too_long() {
    refuses_frames(&[(from_worker::LOG, &[b'x'; limits::LOG_BYTES_MAX + 1])]);
}

#[test]
fn a_frame_of_another_request() {
    let make = |_: &Player| make_frame(2, from_worker::HEAD, &head(200, &[]));
    refuses(make, HandoffError::Protocol);
}

#[test]
fn a_length_beyond_the_largest_frame() {
    let make = |_: &Player| {
        let head = FrameHead {
            length: limits::FRAME_BYTES_MAX + 1,
            request: 1,
            kind: from_worker::HEAD,
        };
        head.encode().to_vec()
    };
    refuses(make, HandoffError::Protocol);
}

#[test]
fn header_lines_that_could_be_read_as_two() {
    for line in [
        &b"X: a\r\nY: b"[..],
        b"X: a\nY: b",
        b"X: a\0",
        b"no colon",
        b"X Y: a",
    ] {
        refuses(
            move |worker| worker.make(from_worker::HEAD, &head(200, &[line])),
            HandoffError::Protocol,
        );
    }
}

#[test]
fn a_status_that_is_none() {
    for status in [0, 100, 199, 600, 999] {
        refuses(
            move |worker| worker.make(from_worker::HEAD, &head(status, &[])),
            HandoffError::Protocol,
        );
    }
}

#[test]
fn a_flood_of_empty_frames() {
    let make = |worker: &Player| worker.make(from_worker::LOG, b"").repeat(1001);
    refuses(make, HandoffError::Protocol);
}

#[test]
fn a_worker_that_sends_crumbs_is_read_slowly_and_whole() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let begun = Instant::now();
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
        bytes.extend(worker.make(from_worker::BODY, b"x").repeat(10_000));
        bytes.extend(worker.make(from_worker::END, &end(false)));
        worker.write(&bytes).await;
        let (_, body) = read(request.await.unwrap()).await.unwrap();
        assert_eq!(body.len(), 10_000);
        // 2,000 of them between two sweeps, which come every 100 ms.
        assert!(
            begun.elapsed() > Duration::from_millis(300),
            "{:?}",
            begun.elapsed()
        );
    });
}

/// A worker that answers properly and then goes on must not be heard.
fn ends_after_answer(surplus: impl FnOnce(&Player) -> Vec<u8> + 'static, at_once: bool) {
    play(async move {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let (answer, surplus) = (worker.answer(b"mine"), surplus(&worker));
        if at_once {
            worker.write(&[answer, surplus].concat()).await;
        } else {
            worker.write(&answer).await;
        }
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"mine".to_vec()))
        );
        if !at_once {
            worker
                .write(&make_frame(1, from_worker::BODY, b"late"))
                .await;
        }
        worker.is_closed().await;
        keeper.kill().await;
        let request = stage.request(Body::Empty);
        let mut other = keeper.start_worker().await;
        assert_ne!(other.id, worker.id);
        other.request().await;
        let answer = other.answer(b"other");
        other.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"other".to_vec()))
        );
    });
}

#[test]
fn an_answer_twice() {
    ends_after_answer(|worker| worker.answer(b"again"), true);
}

#[test]
fn half_a_frame_after_the_end() {
    ends_after_answer(|_| vec![1], true);
}

#[test]
fn a_late_frame() {
    ends_after_answer(|_| Vec::new(), false);
}

#[test]
fn an_answer_to_the_next_request_in_advance() {
    ends_after_answer(|_| make_frame(2, from_worker::HEAD, &head(200, &[])), true);
}

#[test]
fn output_after_finish() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
        bytes.extend(worker.make(from_worker::BODY, b"all"));
        bytes.extend(worker.make(from_worker::FINISH, b""));
        bytes.extend(worker.make(from_worker::LOG, b"still here"));
        worker.write(&bytes).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"all".to_vec()))
        );
        assert!(stage.error_log().contains("still here"));
        // The script runs on and its worker is not free.
        assert_eq!(stage.site.pool().census().busy, 1);
        let more = worker.make(from_worker::BODY, b"more");
        worker.write(&more).await;
        worker.is_closed().await;
        keeper.kill().await;
    });
}

#[test]
fn a_byte_at_a_time() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        for byte in worker.answer(b"slow") {
            worker.write(&[byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"slow".to_vec()))
        );
    });
}

#[test]
fn never() {
    let mut entry = patient_entry();
    entry.request_ms_max = 150;
    play(async {
        let stage = Stage::new(entry);
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        assert_eq!(request.await.unwrap().err(), Some(HandoffError::TimedOut));
        assert_eq!(keeper.kill().await, worker.id);
        assert!(
            stage.error_log().contains("more than 150 ms"),
            "{}",
            stage.error_log()
        );
    });
}

#[test]
fn death_before_the_head_is_an_error_and_in_the_body_a_cut() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Signalled(11)));
        // Its socket stays open all the while, as it does in a process that it forked.
        assert_eq!(request.await.unwrap().err(), Some(HandoffError::WorkerDied));
        assert!(
            stage.error_log().contains("ended by signal 11"),
            "{}",
            stage.error_log()
        );

        let request = stage.request(Body::Empty);
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
        bytes.extend(worker.make(from_worker::BODY, b"begun"));
        worker.write(&bytes).await;
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Signalled(9)));
        assert_eq!(read(request.await.unwrap()).await, Err(b"begun".to_vec()));
    });
}

#[test]
fn what_a_worker_sent_before_it_ended_counts() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
        bytes.extend(worker.make(from_worker::BODY, &[b'x'; 60_000]));
        bytes.extend(worker.make(from_worker::END, &end(true)));
        worker.write(&bytes).await;
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Exited(0)));
        let (status, body) = read(request.await.unwrap()).await.unwrap();
        assert_eq!((status, body.len()), (200, 60_000));
        assert_eq!(stage.error_log(), "");
    });
}

#[test]
fn a_closed_socket_costs_one_request() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let id = worker.id;
        drop(worker);
        assert_eq!(request.await.unwrap().err(), Some(HandoffError::WorkerDied));
        keeper.say(KeeperToFront::WorkerDied(id, Death::Signalled(11)));
        let request = stage.request(Body::Empty);
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"well");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"well".to_vec()))
        );
    });
}

#[test]
fn an_idle_worker_that_is_gone_costs_no_request() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"first");
        worker.write(&answer).await;
        assert!(read(request.await.unwrap()).await.is_ok());
        let id = worker.id;
        drop(worker);
        // The front has not looked at the socket yet when the next request comes.
        let request = stage.request(Body::Empty);
        tokio::time::sleep(Duration::from_millis(20)).await;
        keeper.say(KeeperToFront::WorkerDied(id, Death::Exited(0)));
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"second");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"second".to_vec()))
        );
    });
}

#[test]
fn a_client_that_leaves_costs_no_worker() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        request.abort();
        worker.is_left().await;
        let answer = worker.answer(b"nobody reads this");
        worker.write(&answer).await;
        // The same worker serves the next one, who sees nothing of it.
        let request = stage.request(Body::Empty);
        worker.request().await;
        let answer = worker.answer(b"mine");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"mine".to_vec()))
        );
    });
}

#[test]
fn a_complete_answer_that_is_dropped_is_no_departure() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(204, &[]));
        bytes.extend(worker.make(from_worker::FINISH, b""));
        worker.write(&bytes).await;
        let Ok(Outcome::Answer(answer)) = request.await.unwrap() else {
            panic!("no answer");
        };
        assert_eq!(answer.body.complete_length(), Some(0));
        drop(answer);
        let bytes = worker.make(from_worker::END, &end(false));
        worker.write(&bytes).await;
        let request = stage.request(Body::Empty);
        worker.request().await;
        request.abort();
    });
}

#[test]
fn bodies_of_each_size_arrive_whole() {
    play(async {
        let stage = Stage::new(patient_entry());
        let small = vec![b's'; 50_000];
        let request = stage.request(in_memory(small.clone()));
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        assert_eq!(worker.body().await, (small, true));
        let answer = worker.answer(b"1");
        worker.write(&answer).await;
        assert!(read(request.await.unwrap()).await.is_ok());

        let large: Vec<u8> = (0_u32..500_000).flat_map(u32::to_le_bytes).collect();
        let request = stage.request(in_memory(large.clone()));
        worker.request().await;
        let (body, is_complete) = worker.body().await;
        assert!(body == large && is_complete);
        let answer = worker.answer(b"2");
        worker.write(&answer).await;
        assert!(read(request.await.unwrap()).await.is_ok());

        let mut file = stage.front.spill.create().unwrap();
        file.write_all(&large).unwrap();
        let length = large.len() as u64;
        let request = stage.request(spilled(file, length));
        worker.request().await;
        let (body, is_complete) = worker.body().await;
        assert!(body == large && is_complete);
        let answer = worker.answer(b"3");
        worker.write(&answer).await;
        assert_eq!(read(request.await.unwrap()).await, Ok((200, b"3".to_vec())));
    });
}

#[test]
fn a_script_that_is_missing_gives_the_body_back() {
    play(async {
        let stage = Stage::new(patient_entry());
        let file = stage.front.spill.create().unwrap();
        file.write_all_at(&vec![b'b'; 3_000_000], 0).unwrap();
        let length = 3_000_000;
        let request = stage.request(spilled(file, length));
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::MISSING, &[1]);
        bytes.extend(worker.make(from_worker::END, &end(false)));
        worker.write(&bytes).await;
        let Ok(Outcome::Missing { forbidden, body }) = request.await.unwrap() else {
            panic!("not missing");
        };
        assert!(forbidden && body.length() == 3_000_000);
        // The rest of the body is not sent: it is cut, and the next request follows.
        let request = stage.request(body);
        let (body, is_complete) = worker.body().await;
        assert!(body.len() < 3_000_000 && !is_complete);
        worker.request().await;
        let (body, is_complete) = worker.body().await;
        assert!(body.len() == 3_000_000 && is_complete);
        let answer = worker.answer(b"found");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"found".to_vec()))
        );
    });
}

/// A worker that sends so many bytes of body while the client reads nothing until the worker is done or waits.
async fn send_large(stage: &Stage, bytes: usize) -> (Vec<u8>, bool) {
    let request = stage.request(Body::Empty);
    let keeper = stage.wake().await;
    let mut worker = keeper.start_worker().await;
    worker.request().await;
    let content: Vec<u8> = (0..).flat_map(u32::to_le_bytes).take(bytes).collect();
    let mut frames = worker.make(from_worker::HEAD, &head(200, &[]));
    for part in content.chunks(40_000) {
        frames.extend(worker.make(from_worker::BODY, part));
    }
    frames.extend(worker.make(from_worker::END, &end(false)));
    let outcome = request;
    let mut writing = Box::pin(async move {
        worker.write(&frames).await;
        worker
    });
    let waited = tokio::time::timeout(Duration::from_millis(600), &mut writing).await;
    let was_done = waited.is_ok();
    let reading = async { read(outcome.await.unwrap()).await.unwrap() };
    let (_, body) = if was_done {
        reading.await
    } else {
        tokio::join!(reading, writing).0
    };
    assert!(
        body == content,
        "{} of {} bytes, or others",
        body.len(),
        content.len()
    );
    (body, was_done)
}

#[test]
fn a_slow_client_does_not_hold_the_worker() {
    let mut entry = patient_entry();
    entry.answer_bytes_max = 100_000_000;
    entry.spill_bytes_max = 100_000_000;
    play(async {
        let stage = Stage::new(entry);
        let (_, was_done) = send_large(&stage, 5_000_000).await;
        assert!(was_done, "the worker waited for the client");
    });
}

#[test]
fn beyond_the_bound_the_worker_waits_for_the_client() {
    let mut entry = patient_entry();
    entry.answer_bytes_max = 1_000_000;
    play(async {
        let stage = Stage::new(entry);
        let (_, was_done) = send_large(&stage, 5_000_000).await;
        assert!(!was_done, "more was held than may be");
    });
}

#[test]
fn beyond_the_sites_share_of_the_disk_the_worker_waits_too() {
    let mut entry = patient_entry();
    entry.answer_bytes_max = 100_000_000;
    entry.spill_bytes_max = 1_000_000;
    play(async {
        let stage = Stage::new(entry);
        let (_, was_done) = send_large(&stage, 5_000_000).await;
        assert!(!was_done, "more was held than the site may have");
    });
}

#[test]
fn a_worker_that_waits_for_a_client_can_be_ended() {
    let mut entry = patient_entry();
    entry.answer_bytes_max = 0;
    entry.request_ms_max = 300;
    play(async {
        let stage = Stage::new(entry);
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut frames = worker.make(from_worker::HEAD, &head(200, &[]));
        frames.extend(worker.make(from_worker::BODY, &[b'x'; 50_000]).repeat(20));
        let begun = Instant::now();
        tokio::select! {
            is_written = worker.try_write(&frames) => assert!(!is_written, "the answer was held"),
            _ = keeper.kill() => {}
        }
        assert!(begun.elapsed() >= Duration::from_millis(200));
        let cut = read(request.await.unwrap()).await.unwrap_err();
        assert!(cut.len() <= 300_000 && !cut.is_empty());
    });
}

#[test]
fn the_last_request_of_a_worker_is_followed_by_another_worker() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
        bytes.extend(worker.make(from_worker::END, &end(true)));
        worker.write(&bytes).await;
        assert!(read(request.await.unwrap()).await.is_ok());
        worker.is_closed().await;
        let request = stage.request(Body::Empty);
        keeper.say(KeeperToFront::WorkerDied(worker.id, Death::Exited(0)));
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"next");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"next".to_vec()))
        );
        assert_eq!(stage.error_log(), "");
    });
}

//! The front's own serving loop on a thread of its own, with one site `x.example` that nothing stands behind.

use std::net::SocketAddr;
use std::rc::Rc;
use std::thread::JoinHandle;

use hostel_front::accept;
use hostel_front::connection::Patience;
use hostel_wire::fresh::Fresh;
use hostel_wire::front_monitor::{SiteEntry, SiteId};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server that runs until this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Drain,
    End,
}

impl Server {
    pub(crate) fn start(patience: Patience) -> Self {
        let (orders, mut received) = mpsc::unbounded_channel();
        let (ready, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
                ready
                    .send(listener.local_addr().expect("address"))
                    .expect("ready");
                let front = crate::front::front(entry());
                let serving = accept::serve_patiently(listener, Rc::clone(&front), patience);
                tokio::task::spawn_local(serving);
                while let Some(Order::Drain) = received.recv().await {
                    front.drain.ask(hostel_front::front::Stage::Ending);
                }
            });
        });
        Self {
            address: address.recv().expect("address"),
            orders,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What SIGTERM comes to.
    pub(crate) fn drain(&self) {
        self.orders.send(Order::Drain).expect("server runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.send(Order::End));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the server panicked"
            );
        }
    }
}

/// The one site.
pub(crate) fn entry() -> SiteEntry {
    SiteEntry {
        id: SiteId(1),
        name: "x".into(),
        user: "x".into(),
        domains: vec!["x.example".into()],
        script_extensions: vec!["php".into()],
        workers_max: 1,
        queue_max: 1,
        queue_ms_max: 10,
        request_ms_max: 1000,
        body_bytes_max: 1_000_000,
        answer_bytes_max: 1_000_000,
        spill_bytes_max: 4_000_000,
        log_bytes_max: 1_000_000,
        idle_ms: 60_000,
        cpu_weight: 100,
        suspended: false,
        fresh: Fresh::Off,
    }
}

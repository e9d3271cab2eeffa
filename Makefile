# The public entrance. Each word installs what it needs (Debian 12; as root or through sudo) and says what it does.
# The logic is in xtask/: `cargo xtask help`.

.PHONY: demo demo-clean test test-vm test-fresh check bench soak deb

# Serve two demo sites of two users on loopback, until Ctrl-C.
demo: linker
	cargo xtask setup demo
	cargo xtask demo

demo-clean: linker
	cargo xtask demo-clean

# Everything: format, clippy, unit tests, tidy, end-to-end tests with real users, PHP, nginx, WordPress and DokuWiki.
test: linker
	cargo xtask setup test
	cargo xtask check
	cargo xtask e2e

# The isolation tests on Debian 12's own kernel with cgroup v2, in a virtual machine that is thrown away.
test-vm: linker
	cargo xtask setup vm
	cargo xtask vm

# Fresh requests, at length: 100,000 of the rota by each of three means, and 20,000 to each of three applications. Hours.
test-fresh: linker
	cargo xtask setup test
	cargo xtask fresh

# What must hold before a commit; under a minute when warm.
check: linker
	cargo xtask setup demo
	cargo xtask check

# The Debian package, into target/deb: `apt install ./target/deb/hostel_*.deb` on any Debian 12.
deb: linker
	cargo xtask setup demo
	cargo xtask deb

# Measure Hostel beside Apache and nginx; kept under bench/runs/.
bench: linker
	cargo xtask setup bench
	cargo xtask bench

# An hour of mixed load (`cargo xtask soak --minutes N` for less): do memory, descriptors and processes stay flat?
soak: linker
	cargo xtask setup bench
	cargo xtask soak

# Rust needs a linker before it can build what installs the rest.
.PHONY: linker
linker:
	@command -v cc >/dev/null || { \
		echo "installing build-essential, for a linker"; \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$sudo apt-get update --quiet && $$sudo apt-get install --yes --quiet --no-install-recommends build-essential; }

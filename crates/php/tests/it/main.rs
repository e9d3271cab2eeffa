//! The program as its neighbours see it: started as a keeper starts it, asked as the front asks it.
//!
//! Needs `setpriv` (util-linux) and the modules of Debian's PHP 8.2. Where the tests run as root, PHP runs as a user number
//! without an account; else as the user who runs them.

mod answer;
mod body;
mod file_cache;
mod fresh;
mod front;
mod leaving;
mod limits;
mod modules;
mod paranoid;
mod random;
mod scripts;
mod servers;
mod settings;
#[allow(
    unsafe_code,
    reason = "the control socket must stand on descriptor 3 of the child"
)]
mod site;
mod warm;

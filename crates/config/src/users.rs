//! Where users are looked up: a trait, so that a check can be tested without touching the system's users.

use hostel_sys::cred::{LookUpError, User};

/// A database of users.
pub trait UserLookUp {
    /// The user of this name, `None` where there is none.
    ///
    /// # Errors
    /// The database cannot be read.
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError>;
}

/// The system's own database: /etc/passwd and whatever else nsswitch.conf names.
#[derive(Debug, Clone, Copy)]
pub struct SystemUsers;

impl UserLookUp for SystemUsers {
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError> {
        User::by_name(name)
    }
}

//! The link to one site's keeper.

//! Things of which the front has only so many, for all sites together: connections, memory, temporary files, threads.
//!
//! Whoever takes some may have as much as it leaves free: one that floods has half of all, two have a third each, and there is
//! always room for who comes next. Nothing is set and nothing is kept for anybody. It is used on the front's one thread.

use std::cell::Cell;
use std::rc::Rc;

/// All that there is of one thing.
#[derive(Debug)]
pub struct Supply {
    all: usize,
    taken: Cell<usize>,
}

/// What one site, or one client, has of a [`Supply`].
#[derive(Debug)]
pub struct Portion {
    supply: Rc<Supply>,
    taken: Cell<usize>,
}

/// Some of a [`Portion`], given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    portion: Rc<Portion>,
    count: usize,
}

impl Supply {
    /// So many, none of them taken.
    pub fn new(all: usize) -> Rc<Self> {
        Rc::new(Self {
            all,
            taken: Cell::new(0),
        })
    }

    /// A portion of nothing yet.
    pub fn portion(self: &Rc<Self>) -> Rc<Portion> {
        Rc::new(Portion {
            supply: Rc::clone(self),
            taken: Cell::new(0),
        })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.all.saturating_sub(self.taken.get())
    }

    /// Whether less than an eighth is left.
    pub fn is_scarce(&self) -> bool {
        self.left() < self.all / 8
    }
}

impl Portion {
    /// Take so many; `None` where that would be more than is left free.
    pub fn take(self: &Rc<Self>, count: usize) -> Option<Taken> {
        let mut taken = self.nothing();
        taken.grow(count).then_some(taken)
    }

    /// A hold on nothing, which can grow.
    pub fn nothing(self: &Rc<Self>) -> Taken {
        Taken {
            portion: Rc::clone(self),
            count: 0,
        }
    }

    /// How many this portion has.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    fn has_room(&self, more: usize) -> bool {
        self.taken.get().saturating_add(more) <= self.supply.left().saturating_sub(more)
    }

    fn change(&self, more: usize, less: usize) {
        for taken in [&self.taken, &self.supply.taken] {
            taken.set(taken.get().saturating_add(more).saturating_sub(less));
        }
    }
}

impl Taken {
    /// Whether these are of that portion.
    pub fn is_of(&self, portion: &Rc<Portion>) -> bool {
        Rc::ptr_eq(&self.portion, portion)
    }

    /// How many these are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Take more; `false`, and nothing has changed, where that would be more than is left free.
    pub fn grow(&mut self, more: usize) -> bool {
        let has_room = self.portion.has_room(more);
        if has_room {
            self.grow_beyond(more);
        }
        has_room
    }

    /// Take more, whatever is left: for the little without which nothing would move.
    pub fn grow_beyond(&mut self, more: usize) {
        self.portion.change(more, 0);
        self.count = self.count.saturating_add(more);
    }

    /// Give some back.
    pub fn shrink(&mut self, less: usize) {
        let less = less.min(self.count);
        self.portion.change(0, less);
        self.count -= less;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shrink(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(portion: &Rc<Portion>) -> Vec<Taken> {
        std::iter::from_fn(|| portion.take(1)).collect()
    }

    #[test]
    fn one_has_half_two_have_a_third_each_and_there_is_room_for_the_next() {
        let supply = Supply::new(12);
        let [one, two, three] = [(); 3].map(|()| supply.portion());
        let first = take_all(&one);
        assert_eq!(first.len(), 6);
        let second = take_all(&two);
        assert_eq!(second.len(), 3);
        assert!(!take_all(&three).is_empty());
        drop(first);
        assert_eq!((one.taken(), supply.taken()), (0, 3));
        assert_eq!(second.len() + take_all(&two).len(), 6);
    }

    #[test]
    fn what_was_taken_is_given_back_whatever_it_grew_to() {
        let supply = Supply::new(10);
        let portion = supply.portion();
        let mut taken = portion.nothing();
        assert!(taken.grow(3) && !taken.grow(3) && taken.count() == 3);
        taken.grow_beyond(20);
        assert_eq!(supply.taken(), 23);
        assert!(supply.portion().take(1).is_none());
        taken.shrink(21);
        assert_eq!((taken.count(), portion.taken(), supply.taken()), (2, 2, 2));
        drop(taken);
        assert_eq!(supply.taken(), 0);
    }

    #[test]
    fn too_much_is_refused_and_not_an_overflow() {
        let portion = Supply::new(10).portion();
        assert!(portion.take(usize::MAX).is_none());
        let _one = portion.take(1);
        assert!(portion.take(usize::MAX).is_none());
    }
}

//! No secret is outside the arena when that has locked pages. A process of its own: an arena begins once.

mod memory;

#[test]
fn no_secret_is_outside_the_arena() {
    memory::no_secret_is_outside_the_arena(yika_arena::ArenaKind::Locked);
}

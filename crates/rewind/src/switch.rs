//! Going from one stack to another and back: the one thing here that no language has words for.
//!
//! A context is a stack pointer: everything else that a function must find again stands on its stack. Only what the calling convention
//! says a callee keeps is saved, as for any call; the thread pointer stays what it is.

/// Save this context to `*save` and go on with another: returns when somebody switches back to what was saved.
///
/// # Safety
/// `save` is valid to write. `to` is a stack pointer that this function has saved, or that [`first`] has made, whose stack is as it
/// was then, byte for byte, from that address upwards as far as its functions reach.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(save: *mut usize, to: usize) {
    core::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// What [`switch`] takes from a new stack, from its lowest address upwards, to begin with `entry`, which must never return. It stands at the
/// very end of the stack, whose end is a multiple of 16.
#[cfg(target_arch = "x86_64")]
pub(crate) fn first(entry: extern "C" fn() -> !) -> [usize; 9] {
    // The control words as a new process has them: MXCSR below, the x87's above.
    let control = 0x1f80 | 0x037f << 32;
    // Six registers, where to go on, and nowhere to return to.
    [control, 0, 0, 0, 0, 0, 0, entry as usize, 0]
}

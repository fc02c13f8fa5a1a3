package pause

// arm64 is the program for AArch64. System calls take their number in x8 and
// arguments in x0 to x3; they change x0 alone (syscall(2)). Branches are
// relative to themselves. The bytes are in memory order: little-endian.
var arm64 = program{
	// rt_sigprocmask(SIG_BLOCK, all, NULL, 8); all is eight bytes of ones
	{"00 00 80 92", "mov x0, #0xffffffffffffffff"},
	{"e0 0f 1f f8", "str x0, [sp,#-16]!"},
	{"00 00 80 d2", "mov x0, #0x0"}, // SIG_BLOCK
	{"e1 03 00 91", "mov x1, sp"},
	{"02 00 80 d2", "mov x2, #0x0"},
	{"03 01 80 d2", "mov x3, #0x8"}, // bytes in a set
	{"e8 10 80 d2", "mov x8, #0x87"},
	{"01 00 00 d4", "svc #0x0"},

	{"", "reap:"}, // wait4(-1, NULL, WNOHANG, NULL)
	{"00 00 80 92", "mov x0, #0xffffffffffffffff"}, // any child
	{"01 00 80 d2", "mov x1, #0x0"},
	{"22 00 80 d2", "mov x2, #0x1"}, // WNOHANG
	{"03 00 80 d2", "mov x3, #0x0"},
	{"88 20 80 d2", "mov x8, #0x104"},
	{"01 00 00 d4", "svc #0x0"},
	{"1f 00 00 f1", "cmp x0, #0x0"},
	{"2c ff ff 54", "b.gt reap"}, // that was one, there may be more

	{"", "wait:"}, // rt_sigtimedwait(all, NULL, NULL, 8)
	{"e0 03 00 91", "mov x0, sp"},
	{"01 00 80 d2", "mov x1, #0x0"},
	{"02 00 80 d2", "mov x2, #0x0"}, // no timeout
	{"03 01 80 d2", "mov x3, #0x8"},
	{"28 11 80 d2", "mov x8, #0x89"},
	{"01 00 00 d4", "svc #0x0"},

	{"1f 44 00 f1", "cmp x0, #0x11"}, // SIGCHLD
	{"20 fe ff 54", "b.eq reap"},
	{"1f 3c 00 f1", "cmp x0, #0xf"}, // SIGTERM
	{"60 00 00 54", "b.eq exit"},
	{"1f 08 00 f1", "cmp x0, #0x2"}, // SIGINT
	{"a1 fe ff 54", "b.ne wait"},    // any other signal, or EINTR

	{"", "exit:"}, // exit_group(0)
	{"00 00 80 d2", "mov x0, #0x0"},
	{"c8 0b 80 d2", "mov x8, #0x5e"},
	{"01 00 00 d4", "svc #0x0"},
}

package pause

// amd64 is the program for x86-64. System calls take their number in rax and
// arguments in rdi, rsi, rdx, r10; they change rax, rcx and r11 (syscall(2)).
// Jumps are relative to the next instruction.
var amd64 = program{
	// rt_sigprocmask(SIG_BLOCK, all, NULL, 8); all is eight bytes of ones
	{"6a ff", "push -0x1"},
	{"bf 00 00 00 00", "mov edi, 0x0"}, // SIG_BLOCK
	{"48 89 e6", "mov rsi, rsp"},
	{"ba 00 00 00 00", "mov edx, 0x0"},
	{"41 ba 08 00 00 00", "mov r10d, 0x8"}, // bytes in a set
	{"b8 0e 00 00 00", "mov eax, 0xe"},
	{"0f 05", "syscall"},

	{"", "reap:"}, // wait4(-1, NULL, WNOHANG, NULL)
	{"48 c7 c7 ff ff ff ff", "mov rdi, -0x1"}, // any child
	{"be 00 00 00 00", "mov esi, 0x0"},
	{"ba 01 00 00 00", "mov edx, 0x1"}, // WNOHANG
	{"41 ba 00 00 00 00", "mov r10d, 0x0"},
	{"b8 3d 00 00 00", "mov eax, 0x3d"},
	{"0f 05", "syscall"},
	{"85 c0", "test eax, eax"},
	{"7f de", "jg reap"}, // that was one, there may be more

	{"", "wait:"}, // rt_sigtimedwait(all, NULL, NULL, 8)
	{"48 89 e7", "mov rdi, rsp"},
	{"be 00 00 00 00", "mov esi, 0x0"},
	{"ba 00 00 00 00", "mov edx, 0x0"}, // no timeout
	{"41 ba 08 00 00 00", "mov r10d, 0x8"},
	{"b8 80 00 00 00", "mov eax, 0x80"},
	{"0f 05", "syscall"},

	{"83 f8 11", "cmp eax, 0x11"}, // SIGCHLD
	{"74 bf", "je reap"},
	{"83 f8 0f", "cmp eax, 0xf"}, // SIGTERM
	{"74 05", "je exit"},
	{"83 f8 02", "cmp eax, 0x2"}, // SIGINT
	{"75 d7", "jne wait"},        // any other signal, or EINTR

	{"", "exit:"}, // exit_group(0)
	{"bf 00 00 00 00", "mov edi, 0x0"},
	{"b8 e7 00 00 00", "mov eax, 0xe7"},
	{"0f 05", "syscall"},
}

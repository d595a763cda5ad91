/* SPDX-License-Identifier: MIT */
#include "quic/steering.h"

#include <linux/filter.h>
#include <sys/socket.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

#define LONG_HEADER   0x80
#define LONG_ID_AT    6
#define SHORT_ID_AT   1
#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

void tow__steer_cid(ngtcp2_cid *cid, unsigned worker, unsigned workers)
{
	unsigned byte = cid->data[0];

	byte += worker - byte % workers;
	cid->data[0] = (uint8_t)(byte <= UINT8_MAX ? byte : byte - workers);
}

unsigned tow__steer_home(struct tow_slice datagram, unsigned workers)
{
	size_t at = datagram.len > 0 && datagram.base[0] & LONG_HEADER ? LONG_ID_AT : SHORT_ID_AT;

	return datagram.len > at ? datagram.base[at] % workers : 0;
}

/* Reading past the end ends the program with 0. */
void tow__steer_socket(int fd, unsigned workers)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER, 0, 2),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LONG_ID_AT),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SHORT_ID_AT),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	/* What is not there is done without: strays are handed over. */
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program));
}

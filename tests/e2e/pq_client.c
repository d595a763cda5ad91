/* SPDX-License-Identifier: MIT */
/*
 * A visitor whose ClientHello offers X25519MLKEM768 with a key share, as browsers do, and X25519 after
 * it: too large for one packet. Asks for a page and prints the whole answer.
 *
 *   pq_client ADDRESS PORT NAME CA PATH
 */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "pq_client: %s\n", what);
	exit(1);
}

static int dial(const char *address, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(inet_pton(AF_INET, address, &to.sin_addr) == 1, "address");
	check(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
	return fd;
}

int main(int argc, char **argv)
{
	int groups[] = { WOLFSSL_X25519MLKEM768, WOLFSSL_ECC_X25519 };
	char text[4096];
	int n;

	check(argc == 6, "usage: pq_client ADDRESS PORT NAME CA PATH");
	check(wolfSSL_Init() == WOLFSSL_SUCCESS, "init");
	WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
	check(context != NULL, "context");
	check(wolfSSL_CTX_load_verify_locations(context, argv[4], NULL) == WOLFSSL_SUCCESS, "authority");
	check(wolfSSL_CTX_set_groups(context, groups, 2) == WOLFSSL_SUCCESS, "groups");
	WOLFSSL *tls = wolfSSL_new(context);
	check(tls != NULL, "session");
	check(wolfSSL_UseSNI(tls, WOLFSSL_SNI_HOST_NAME, argv[3], (unsigned short)strlen(argv[3])) ==
	      WOLFSSL_SUCCESS, "server name");
	check(wolfSSL_check_domain_name(tls, argv[3]) == WOLFSSL_SUCCESS, "name to verify");
	check(wolfSSL_UseKeyShare(tls, WOLFSSL_X25519MLKEM768) == WOLFSSL_SUCCESS, "key share");
	check(wolfSSL_set_fd(tls, dial(argv[1], argv[2])) == WOLFSSL_SUCCESS, "socket");
	if (wolfSSL_connect(tls) != WOLFSSL_SUCCESS) {
		char reason[80];

		wolfSSL_ERR_error_string_n((unsigned long)wolfSSL_get_error(tls, 0), reason, sizeof(reason));
		check(0, reason);
	}
	n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[5],
	             argv[3]);
	check(wolfSSL_write(tls, text, n) == n, "write");
	while ((n = wolfSSL_read(tls, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	wolfSSL_free(tls);
	wolfSSL_CTX_free(context);
	wolfSSL_Cleanup();
	return fflush(stdout) != 0;
}

/* SPDX-License-Identifier: MIT */
#include "tls/preferences.h"

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include <towonel/tunnel/tls.h>

#include "tls/cpu.h"

#define TICKET_LIFETIME_S 1800

#define AES                                                                                        \
	"TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:"                                         \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define CHACHA                                                                                     \
	"TLS13-CHACHA20-POLY1305-SHA256:"                                                          \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

/* A client sends a key for its first group only; a server without that group asks for another. */
static const char *const groups[] = {
	[TOW__TLS_SERVER] = "X25519MLKEM768:X25519:P-256:P-384",
	[TOW__TLS_PUBLIC_SERVER] = "X25519MLKEM768:X25519:P-256:P-384",
	[TOW__TLS_CLIENT] = "X25519MLKEM768:X25519:P-256:P-384",
	[TOW__TLS_ORIGIN_CLIENT] = "X25519:X25519MLKEM768:P-256:P-384",
};

int tow_tls_group_served(uint16_t group)
{
	switch (group) {
	case WOLFSSL_X25519MLKEM768:
	case WOLFSSL_ECC_X25519:
	case WOLFSSL_ECC_SECP256R1:
	case WOLFSSL_ECC_SECP384R1: return 1;
	default: return 0;
	}
}

int tow__tls_prefer(WOLFSSL_CTX *ctx, enum tow__tls_role role)
{
	const char *ciphers = tow__cpu_has_aes() ? AES ":" CHACHA : CHACHA ":" AES;

	if (wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set_cipher_list(ctx, ciphers) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set1_groups_list(ctx, groups[role]) != WOLFSSL_SUCCESS)
		return TOW_ECRYPTO;
	/* A client that keeps no sessions makes no use of tickets either. */
	if (role == TOW__TLS_SERVER && (wolfSSL_CTX_no_ticket_TLSv13(ctx) != 0 ||
	                                wolfSSL_CTX_NoTicketTLSv12(ctx) != WOLFSSL_SUCCESS))
		return TOW_ECRYPTO;
	/* Half of what wolfSSL keeps a key for. */
	if (role == TOW__TLS_PUBLIC_SERVER &&
	    wolfSSL_CTX_set_TicketHint(ctx, TICKET_LIFETIME_S) != WOLFSSL_SUCCESS)
		return TOW_ECRYPTO;
	(void)wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
	return 0;
}

const char *tow__tls_certificate_reason(int wolfssl_error)
{
	switch (wolfssl_error) {
	case ASN_NO_SIGNER_E:
	case ASN_SELF_SIGNED_E: return "nobody that is trusted here has signed its certificate";
	case ASN_AFTER_DATE_E: return "its certificate has expired";
	case ASN_BEFORE_DATE_E: return "its certificate is not valid yet";
	case DOMAIN_NAME_MISMATCH:
	case IPADDR_MISMATCH: return "its certificate is for another name";
	default: return NULL;
	}
}

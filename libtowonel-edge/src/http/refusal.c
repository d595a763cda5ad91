/* SPDX-License-Identifier: MIT */

#include "http/refusal.h"

#include <string.h>

static const struct {
	unsigned status;
	const char *reason, *text;
} refusals[] = {
	{ 500, "Internal Server Error", "Something is wrong here, not with your request.\n" },
	{ 400, "Bad Request", "This request cannot be read in one way only.\n" },
	{ 403, "Forbidden", "This service is not for visitors from where you are.\n" },
	{ 405, "Method Not Allowed", "This method is not for here.\n" },
	{ 408, "Request Timeout", "The request took too long to arrive.\n" },
	{ 421, "Misdirected Request", "This connection is for another name.\n" },
	{ 431, "Request Header Fields Too Large", "The request's header is too large.\n" },
	{ 501, "Unsupported", "This is not understood here.\n" },
	{ 502, "Bad Gateway", "The service cannot be reached.\n" },
	{ 503, "Service Unavailable", "The service is not there at the moment.\n" },
	{ 504, "Gateway Timeout", "The service did not answer in time.\n" },
	{ 505, "HTTP Version Not Supported", "HTTP/1.1, please.\n" },
};

int tow__http_refusal(unsigned status, int for_head, struct tow_buf *out)
{
	size_t i = sizeof(refusals) / sizeof(*refusals) - 1;

	while (i > 0 && refusals[i].status != status)
		i--;
	return tow_buf_printf(out,
	                      "HTTP/1.1 %u %s\r\n"
	                      "Content-Type: text/plain\r\n"
	                      "Content-Length: %zu\r\n"
	                      "Connection: close\r\n"
	                      "\r\n"
	                      "%s",
	                      refusals[i].status, refusals[i].reason, strlen(refusals[i].text),
	                      for_head ? "" : refusals[i].text);
}

/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_CLIENT_PROXY_H
#define TOW__HTTP_CLIENT_PROXY_H

#include <curl/curl.h>
#include <towonel/tunnel/proxy.h>

/* Makes an easy handle go through the proxy that leads to the URL's host, if one does. */
CURLcode tow__client_proxy_apply(const struct tow_proxies *proxies, const char *url, CURL *easy);
/* Was it the proxy who failed? Then says so in err, and returns 1. */
int tow__client_proxy_failed(CURL *easy, CURLcode code, struct tow_error *err);

#endif

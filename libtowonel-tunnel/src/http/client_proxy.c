/* SPDX-License-Identifier: MIT */
#include "http/client_proxy.h"

#include <stdio.h>
#include <string.h>

/* curl's own rules would see the key's name for the host. */
static const struct tow_proxy *find(const struct tow_proxies *proxies, const char *url)
{
	const struct tow_proxy *proxy = NULL;
	char *scheme = NULL, *host = NULL;
	CURLU *parsed = curl_url();

	if (parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0) &&
	    !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) && !strcmp(scheme, "https") &&
	    !curl_url_get(parsed, CURLUPART_HOST, &host, 0)) {
		if (host[0] == '[')
			host[strlen(host) - 1] = '\0';
		proxy = tow_proxies_find(proxies, host + (host[0] == '['));
	}
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parsed);
	return proxy;
}

CURLcode tow__client_proxy_apply(const struct tow_proxies *proxies, const char *url, CURL *easy)
{
	const struct tow_proxy *proxy = find(proxies, url);
	char host[sizeof(proxy->host) + 2];
	CURLcode rc = CURLE_OK;

	if (proxy)
		snprintf(host, sizeof(host), strchr(proxy->host, ':') ? "[%s]" : "%s", proxy->host);
	/* nothing from the environment but by us */
	rc |= curl_easy_setopt(easy, CURLOPT_PROXY, proxy ? host : "");
	rc |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	if (!proxy)
		return rc;
	rc |= curl_easy_setopt(easy, CURLOPT_PROXYTYPE, (long)CURLPROXY_HTTP);
	rc |= curl_easy_setopt(easy, CURLOPT_PROXYPORT, (long)proxy->port);
	rc |= curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
	rc |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (proxy->user[0]) {
		rc |= curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, proxy->user);
		rc |= curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, proxy->password);
	}
	return rc;
}

int tow__client_proxy_failed(CURL *easy, CURLcode code, struct tow_error *err)
{
	long status = 0;

	if (code == CURLE_OK)
		return 0;
	if (code == CURLE_COULDNT_RESOLVE_PROXY) {
		tow_error_set(err, TOW_ENOTFOUND, "the name of the proxy cannot be resolved");
		return 1;
	}
	if (curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status) != CURLE_OK || status < 300)
		return 0;
	if (status == 401 || status == 407)
		tow_error_set(err, TOW_EREFUSED, "the proxy wants another user or password (%ld)",
		              status);
	else
		tow_error_set(err, TOW_EREFUSED, "the proxy refuses the way there (%ld)", status);
	return 1;
}

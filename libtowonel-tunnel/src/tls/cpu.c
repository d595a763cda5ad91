/* SPDX-License-Identifier: MIT */
#include "tls/cpu.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

int tow__cpu_has_aes(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AES) && (c & bit_PCLMUL);
}
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

int tow__cpu_has_aes(void)
{
	unsigned long caps = getauxval(AT_HWCAP);

	return (caps & HWCAP_AES) && (caps & HWCAP_PMULL);
}
#else
int tow__cpu_has_aes(void)
{
	return 0;
}
#endif

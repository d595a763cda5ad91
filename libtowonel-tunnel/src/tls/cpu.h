/* SPDX-License-Identifier: MIT */
#ifndef TOW__TLS_CPU_H
#define TOW__TLS_CPU_H

/* Does the CPU have instructions for AES-GCM? Without, ChaCha20 is several times as fast. */
int tow__cpu_has_aes(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shake.h - who has let go of a lock stays behind now and then, as if the
 * processor had been taken from it there. Others then do with what the lock
 * guarded what they seldom come to in between; with MALLOC_PERTURB_ or
 * AddressSanitizer, what they free tells.
 */
#ifndef TEST_SHAKE_H
#define TEST_SHAKE_H

/* From now on, in all threads, in each library, one time of SELDOM (shake.c);
 * 0: no more. ThreadSanitizer has its own locks: nothing is done there. */
void shake(unsigned ms);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_defs.h - one line per MEGALLOC_* variable; included several times.
 *
 * CONF(field, NAME, kind, default, help)
 *   kind: PATH text; SIZE bytes with K, M, G, T; ENUM one of the words that
 *   conf.c:words lists for the field; SECONDS
 */
CONF(dir, "DIR", PATH, "",
     "directory of the space's files; %h is the host, %n the home; empty: "
     "/dev/shm/megalloc-UID")
CONF(host, "HOST", PATH, "",
     "name of this host; ranks of different names count as on different hosts; "
     "empty: the system's name")
CONF(home_size, "HOME_SIZE", SIZE, "64M", "size of a home's first pool file")
CONF(home_max, "HOME_MAX", SIZE, "0",
     "largest sum of a home's pool files; 0: up to the end of the medium")
CONF(open, "OPEN", ENUM, "auto",
     "auto: open, or create if there is none; create: must not exist; open: "
     "must exist; degraded: open what is there of it, read-only")
CONF(durability, "DURABILITY", ENUM, "auto",
     "power: flush instructions; power-msync: msync; process: nothing "
     "(survives kill -9 only); auto: what the medium needs")
CONF(timeout, "TIMEOUT", SECONDS, "30",
     "how long to wait for an answer before a call fails")
CONF(start_timeout, "START_TIMEOUT", SECONDS, "600",
     "how long mega_init waits for ranks that have not called it")
CONF(atomics, "ATOMICS", ENUM, "cpu",
     "cpu: the processor's, on homes of this host; nic: all go through UCX, "
     "which leaves them to a network card that can do them")
CONF(check, "CHECK", ENUM, "no", "yes: verify all homes at open and finalize")
CONF(info, "INFO", ENUM, "0", "1: print the settings and homes to stderr")
CONF(log, "LOG", ENUM, "warn", "error, warn, info or debug; to stderr")
CONF(stats, "STATS", ENUM, "0", "1: print counters to stderr at finalize")

/* SPDX-License-Identifier: BSD-3-Clause */
/* ucx_peer.c - see ucx_peer.h. */
#include "ucx_peer.h"

#include <mpi.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <ucp/api/ucp.h>

#include "bench.h"

#define ADDRESS_MAX 4096
#define LINGER 100e-6 /* seconds */
#define SLEEP_MS 100  /* after which the end is looked for */

enum { ASK = 1, ANSWER = 2, POLL = 3 };

static ucp_context_h context;
static ucp_worker_h worker;
static ucp_ep_h ep; /* to the other rank */
static int rank;

static char *memory; /* rank 1's */
static ucp_mem_h registered;
static ucp_rkey_h key;
static uint64_t target; /* its address there */

static pthread_t thread;
static _Atomic int stop;
static int polls; /* the thread's: it gives its processor to nobody */
static uint64_t answer;
static int answered;

static void must(ucs_status_t st, const char *what)
{
    if (st != UCS_OK) {
        fprintf(stderr, "bench: UCX: %s: %s\n", what, ucs_status_string(st));
        exit(1);
    }
}

/* ---- Operations of the origin ---- */

static void on_done(void *request, ucs_status_t st, void *arg)
{
    must(st, "operation");
    ++*(unsigned *)arg;
    ucp_request_free(request);
}

static void on_sent(void *request, ucs_status_t st, void *arg)
{
    (void)arg;
    must(st, "send");
    ucp_request_free(request);
}

static ucp_request_param_t counted(unsigned *done)
{
    return (ucp_request_param_t){.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA,
                                 .cb.send = on_done,
                                 .user_data = done};
}

static void begun(ucs_status_ptr_t request, unsigned *done)
{
    if (UCS_PTR_IS_ERR(request)) {
        must(UCS_PTR_STATUS(request), "operation");
    }
    *done += !UCS_PTR_IS_PTR(request);
}

static void wait_for(const unsigned *done, unsigned n)
{
    while (*done < n) {
        if (ucp_worker_progress(worker) == 0) {
            sched_yield();
        }
    }
}

static void flush(void)
{
    unsigned done = 0;
    ucp_request_param_t param = counted(&done);
    begun(ucp_ep_flush_nbx(ep, &param), &done);
    wait_for(&done, 1);
}

void ucx_peer_puts(const void *from, size_t size, unsigned n)
{
    unsigned done = 0;
    ucp_request_param_t param = counted(&done);
    for (unsigned i = 0; i < n; i++) {
        begun(ucp_put_nbx(ep, (const char *)from + i * size, size,
                          target + i * size, key, &param),
              &done);
    }
    flush();
    wait_for(&done, n);
}

void ucx_peer_gets(void *to, size_t size, unsigned n)
{
    unsigned done = 0;
    ucp_request_param_t param = counted(&done);
    for (unsigned i = 0; i < n; i++) {
        begun(ucp_get_nbx(ep, (char *)to + i * size, size, target + i * size,
                          key, &param),
              &done);
    }
    wait_for(&done, n);
}

void ucx_peer_put8(uint64_t value)
{
    ucx_peer_puts(&value, sizeof(value), 1);
}

uint64_t ucx_peer_get8(void)
{
    uint64_t value;
    ucx_peer_gets(&value, sizeof(value), 1);
    return value;
}

uint64_t ucx_peer_add8(uint64_t value)
{
    uint64_t old = 0;
    unsigned done = 0;
    ucp_request_param_t param = counted(&done);
    param.op_attr_mask |=
        UCP_OP_ATTR_FIELD_DATATYPE | UCP_OP_ATTR_FIELD_REPLY_BUFFER;
    param.datatype = ucp_dt_make_contig(8);
    param.reply_buffer = &old;
    begun(ucp_atomic_op_nbx(ep, UCP_ATOMIC_OP_ADD, &value, 1, target, key,
                            &param),
          &done);
    wait_for(&done, 1);
    return old;
}

/* ---- Allocation by messages ---- */

static void send_head(unsigned id, const void *head, size_t len)
{
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_AM_SEND_FLAG_EAGER,
                                 .cb.send = on_sent};
    ucs_status_ptr_t request =
        ucp_am_send_nbx(ep, id, head, len, NULL, 0, &param);
    if (UCS_PTR_IS_ERR(request)) {
        must(UCS_PTR_STATUS(request), "send");
    }
}

static ucs_status_t on_ask(void *arg, const void *head, size_t len, void *data,
                           size_t data_len, const ucp_am_recv_param_t *param)
{
    uint64_t size;
    mega_gptr_t p;
    (void)arg, (void)data, (void)data_len, (void)param;
    bench_check(len == sizeof(size), "a request of UCX");
    memcpy(&size, head, sizeof(size));
    BENCH_MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), size, &p));
    send_head(ANSWER, &p.v, sizeof(p.v)); /* short: copied before the return */
    return UCS_OK;
}

static ucs_status_t on_poll(void *arg, const void *head, size_t len, void *data,
                            size_t data_len, const ucp_am_recv_param_t *param)
{
    uint64_t yes;
    (void)arg, (void)data, (void)data_len, (void)param;
    bench_check(len == sizeof(yes), "a request of UCX");
    memcpy(&yes, head, sizeof(yes));
    polls = yes != 0;
    return UCS_OK;
}

static ucs_status_t on_answer(void *arg, const void *head, size_t len,
                              void *data, size_t data_len,
                              const ucp_am_recv_param_t *param)
{
    (void)arg, (void)data, (void)data_len, (void)param;
    bench_check(len == sizeof(answer), "an answer of UCX");
    memcpy(&answer, head, sizeof(answer));
    answered = 1;
    return UCS_OK;
}

uint64_t ucx_peer_alloc(size_t size)
{
    uint64_t head = size;
    answered = 0;
    send_head(ASK, &head, sizeof(head));
    while (!answered) {
        if (ucp_worker_progress(worker) == 0) {
            sched_yield();
        }
    }
    return answer;
}

void ucx_peer_poll(uint64_t yes)
{
    send_head(POLL, &yes, sizeof(yes));
    flush();
}

/* ---- The target's thread ---- */

static void *serve(void *arg)
{
    struct pollfd efd = {.events = POLLIN};
    double last = bench_now();
    (void)arg;
    must(ucp_worker_get_efd(worker, &efd.fd), "event descriptor");
    while (!atomic_load(&stop)) {
        if (ucp_worker_progress(worker) > 0) {
            last = bench_now();
        } else if (polls) {
            continue;
        } else if (bench_now() - last < LINGER) {
            sched_yield();
        } else if (ucp_worker_arm(worker) == UCS_OK) {
            poll(&efd, 1, SLEEP_MS);
        }
    }
    return NULL;
}

/* ---- Open and close ---- */

static void set_handler(unsigned id, ucp_am_recv_callback_t fn)
{
    ucp_am_handler_param_t handler = {.field_mask =
                                          UCP_AM_HANDLER_PARAM_FIELD_ID |
                                          UCP_AM_HANDLER_PARAM_FIELD_CB,
                                      .id = id,
                                      .cb = fn};
    must(ucp_worker_set_am_recv_handler(worker, &handler), "handler");
}

static void start(void)
{
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES |
                                         UCP_PARAM_FIELD_MT_WORKERS_SHARED,
                           .features = UCP_FEATURE_RMA | UCP_FEATURE_AMO32 |
                                       UCP_FEATURE_AMO64 | UCP_FEATURE_AM |
                                       UCP_FEATURE_WAKEUP,
                           .mt_workers_shared = 1};
    ucp_worker_params_t worker_params = {
        .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
        .thread_mode = UCS_THREAD_MODE_SERIALIZED};
    ucp_config_t *config;
    must(ucp_config_read(NULL, NULL, &config), "settings");
    must(ucp_config_modify(config, "ATOMIC_MODE", "cpu"), "settings");
    must(ucp_init(&params, config, &context), "init");
    ucp_config_release(config);
    must(ucp_worker_create(context, &worker_params, &worker), "worker");
    set_handler(ASK, on_ask);
    set_handler(ANSWER, on_answer);
    set_handler(POLL, on_poll);
}

/** Sends len bytes and takes the other rank's; their number. */
static size_t swap(const void *mine, size_t len, void *theirs)
{
    MPI_Status status;
    int got;
    MPI_Sendrecv(mine, (int)len, MPI_BYTE, 1 - rank, 0, theirs, ADDRESS_MAX,
                 MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &got);
    return (size_t)got;
}

static void connect_ranks(void)
{
    char theirs[ADDRESS_MAX];
    ucp_address_t *mine;
    size_t len;
    must(ucp_worker_get_address(worker, &mine, &len), "address");
    swap(mine, len, theirs);
    ucp_worker_release_address(worker, mine);
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS,
                              .address = (const void *)theirs};
    must(ucp_ep_create(worker, &params, &ep), "endpoint");
}

static void share_memory(void)
{
    char theirs[ADDRESS_MAX];
    void *packed = NULL;
    size_t len = 0;
    if (rank == 1) {
        memory = mmap(NULL, UCX_PEER_BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        bench_check(memory != MAP_FAILED, "mmap");
        ucp_mem_map_params_t params = {.field_mask =
                                           UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
                                           UCP_MEM_MAP_PARAM_FIELD_LENGTH,
                                       .address = memory,
                                       .length = UCX_PEER_BYTES};
        must(ucp_mem_map(context, &params, &registered), "mem_map");
        must(ucp_rkey_pack(context, registered, &packed, &len), "key");
    }
    target = (uint64_t)(uintptr_t)memory;
    MPI_Bcast(&target, 1, MPI_UINT64_T, 1, MPI_COMM_WORLD);
    swap(packed, len, theirs);
    if (rank == 0) {
        must(ucp_ep_rkey_unpack(ep, theirs, &key), "key");
    } else {
        ucp_rkey_buffer_release(packed);
    }
}

void ucx_peer_open(void)
{
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    start();
    connect_ranks();
    share_memory();
    if (rank == 1) {
        pthread_create(&thread, NULL, serve, NULL);
    }
}

void ucx_peer_close(void)
{
    if (rank == 0) {
        flush();
        ucp_rkey_destroy(key);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 1) {
        atomic_store(&stop, 1);
        pthread_join(thread, NULL);
        ucp_mem_unmap(context, registered);
        munmap(memory, UCX_PEER_BYTES);
    }
    ucp_worker_destroy(worker); /* with its endpoint */
    ucp_cleanup(context);
}

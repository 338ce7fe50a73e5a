"""C source of how threads share the instructions of a program.

OpenMP ends a parallel region only once all its threads have come: where the system does not run
one of them, because two share a core, say, the others spin for milliseconds. Here the caller can
do everything alone, and helpers take what parts they find.
"""

from __future__ import annotations

SHARING = r"""
#define LOAD(p, order) __atomic_load_n(p, __ATOMIC_##order)
#define STORE(p, value, order) __atomic_store_n(p, value, __ATOMIC_##order)
#define PATIENCE 4096
/* Turns in which a helper looks for work, for about half a millisecond, before it sleeps. */
#define TURNS_AWAKE (1 << 14)
#if defined(__x86_64__) || defined(__i386__)
#define REST_A_LITTLE __builtin_ia32_pause()
#else
#define REST_A_LITTLE __atomic_signal_fence(__ATOMIC_SEQ_CST)
#endif

typedef int64_t (*kernel)(const void* block, int64_t part, int64_t parts);
struct instruction { kernel run; const void* block; int64_t* spikes; };

/* Instructions one after the other, each in so many parts. The ticket is the job's number, times
   2^32, and the next part that nobody has taken: whoever moves it on has the part, and has seen
   the fields of this job and no other. Numbers are even; while fields change, it is odd. */
struct job {
  uint64_t ticket;
  const struct instruction* list;
  int64_t parts, all, done, helpers;
};
/* Takes parts, each once the instruction before is done, until none is left. A thread that waits
   holds nothing: one that the system keeps from running leaves its parts to the others. */
static void work(struct job* job, uint64_t number) {
  for (int64_t waits = 0;;) {
    uint64_t ticket = LOAD(&job->ticket, ACQUIRE);
    const struct instruction* list = LOAD(&job->list, ACQUIRE);
    int64_t parts = LOAD(&job->parts, ACQUIRE), next = (uint32_t)ticket;
    if (ticket >> 32 != number || next >= LOAD(&job->all, ACQUIRE)) return;
    if (LOAD(&job->done, ACQUIRE) < next / parts * parts) {
      if (++waits % PATIENCE == 0) sched_yield();
      continue;
    }
    if (!__atomic_compare_exchange_n(&job->ticket, &ticket, ticket + 1, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED)) continue;
    const struct instruction* now = list + next / parts;
    int64_t spikes = now->run(now->block, next % parts, parts);
    if (now->spikes) __atomic_fetch_add(now->spikes, spikes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&job->done, 1, __ATOMIC_RELEASE);
  }
}

/* One job at a time has helpers, which are hired when first asked for and stay. */
static struct job shared;
static int64_t hired, asleep;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;

static uint64_t current(void) { return LOAD(&shared.ticket, SEQ_CST) >> 32; }
static int old(uint64_t seen) {
  uint64_t number = current();
  return number == seen || number % 2;
}
static void* help(void* place) {
  for (uint64_t number = 0;;) {
    for (int64_t turns = 0; old(number); turns++) {
      REST_A_LITTLE;
      if (turns < TURNS_AWAKE) continue;
      pthread_mutex_lock(&gate);
      __atomic_fetch_add(&asleep, 1, __ATOMIC_SEQ_CST);
      while (old(number)) pthread_cond_wait(&bell, &gate);
      __atomic_fetch_sub(&asleep, 1, __ATOMIC_SEQ_CST);
      pthread_mutex_unlock(&gate);
    }
    number = current();
    if ((int64_t)(intptr_t)place < LOAD(&shared.helpers, RELAXED)) work(&shared, number);
  }
  return 0;
}
/* A forked process has none of the threads. */
static void alone_again(void) {
  hired = asleep = 0;
  pthread_mutex_init(&busy, 0);
  pthread_mutex_init(&gate, 0);
  pthread_cond_init(&bell, 0);
}
static void call_helpers(int64_t count) {
  if (!hired && count) pthread_atfork(0, 0, alone_again);
  for (pthread_t thread; hired < count; hired++) {
    if (pthread_create(&thread, 0, help, (void*)(intptr_t)hired)) break;
    pthread_detach(thread);
  }
  if (!LOAD(&asleep, SEQ_CST)) return;
  pthread_mutex_lock(&gate);
  pthread_cond_broadcast(&bell);
  pthread_mutex_unlock(&gate);
}

/* Runs instructions one after the other, each in twice as many parts as there are threads. */
void run(const struct instruction* list, int64_t count, int64_t threads) {
  if (threads < 2 || pthread_mutex_trylock(&busy)) {
    struct job own = {0, list, 1, count, 0, 0};
    work(&own, 0);
    return;
  }
  uint64_t number = (uint32_t)(current() + 2);
  STORE(&shared.ticket, (number + 1) << 32, SEQ_CST);
  STORE(&shared.list, list, RELEASE);
  STORE(&shared.parts, 2 * threads, RELEASE);
  STORE(&shared.all, 2 * threads * count, RELEASE);
  STORE(&shared.helpers, threads - 1, RELEASE);
  STORE(&shared.done, 0, RELEASE);
  STORE(&shared.ticket, number << 32, SEQ_CST);
  call_helpers(threads - 1);
  work(&shared, number);
  for (int64_t waits = 1; LOAD(&shared.done, ACQUIRE) < 2 * threads * count; waits++) {
    REST_A_LITTLE;
    if (waits % PATIENCE == 0) sched_yield();
  }
  pthread_mutex_unlock(&busy);
}
"""

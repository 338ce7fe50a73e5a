"""C source of how threads share the instructions of a program.

OpenMP ends a parallel region only once all its threads have come: where the system does not run
one of them, because two share a core, say, the others spin for milliseconds. Here the caller can
do everything alone, and helpers take what parts they find.
"""

from __future__ import annotations

# Parts of an instruction for every thread.
OWN_PARTS = 2

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

/* Instructions one after the other, each in OWN parts for every thread: what a thread wrote last
   it finds in its own cache. Its ticket is the job's number, times 2^32, and how many of its parts
   have been taken: whoever moves it on has the part, and has seen the fields of this job and no
   other. Numbers are even; while fields change, they are odd. Both words have cache lines of their
   own: those who wait for parts to be done read the one again and again, their owner the other. */
#define OWN @OWN@
#define MOST_THREADS 64
#define ALONE __attribute__((aligned(64)))
struct lane { ALONE uint64_t ticket; ALONE int64_t done; };
struct job {
  const struct instruction* list;
  int64_t count, threads;
  struct lane lane[MOST_THREADS];
};

/* Does the next part of a lane; 0 where none of the instruction's is left. */
static int take_part(struct job* job, uint64_t number, const struct instruction* list,
                     int64_t threads, int64_t instruction, int64_t owner) {
  struct lane* lane = job->lane + owner;
  uint64_t ticket = LOAD(&lane->ticket, ACQUIRE);
  int64_t next = (uint32_t)ticket;
  if (ticket >> 32 != number || next / OWN != instruction) return 0;
  if (!__atomic_compare_exchange_n(&lane->ticket, &ticket, ticket + 1, 0, __ATOMIC_ACQ_REL,
                                   __ATOMIC_RELAXED)) return 1;
  const struct instruction* now = list + instruction;
  int64_t spikes = now->run(now->block, owner * OWN + next % OWN, threads * OWN);
  if (now->spikes && spikes) __atomic_fetch_add(now->spikes, spikes, __ATOMIC_RELAXED);
  __atomic_fetch_add(&lane->done, 1, __ATOMIC_RELEASE);
  return 1;
}
/* Takes parts, first its own, then those that others have not begun, of one instruction after the
   other. A thread that waits holds nothing: one that the system keeps from running leaves its
   parts to the others. */
static void work(struct job* job, uint64_t number, int64_t self) {
  const struct instruction* list = LOAD(&job->list, ACQUIRE);
  int64_t count = LOAD(&job->count, ACQUIRE), threads = LOAD(&job->threads, ACQUIRE);
  FOR(i, count) {
    FOR(k, threads) {
      int64_t lane = (self + k) % threads;
      while (take_part(job, number, list, threads, i, lane)) {}
    }
    FOR(k, threads) {
      for (int64_t waits = 1; LOAD(&job->lane[k].done, ACQUIRE) < (i + 1) * OWN; waits++) {
        if (LOAD(&job->lane[k].ticket, RELAXED) >> 32 != number) return;
        REST_A_LITTLE;
        if (waits % PATIENCE == 0) sched_yield();
      }
    }
  }
}

/* One job at a time has helpers, which are hired when first asked for and stay. */
static struct job shared;
static int64_t hired, asleep, lanes;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;

static uint64_t current(void) { return LOAD(&shared.lane->ticket, SEQ_CST) >> 32; }
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
    int64_t self = (intptr_t)place + 1;
    if (self < LOAD(&shared.threads, RELAXED)) work(&shared, number, self);
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

/* Runs instructions one after the other. */
void run(const struct instruction* list, int64_t count, int64_t threads) {
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads < 2 || pthread_mutex_trylock(&busy)) {
    FOR(i, count) {
      int64_t spikes = list[i].run(list[i].block, 0, 1);
      if (list[i].spikes) *list[i].spikes += spikes;
    }
    return;
  }
  uint64_t number = (uint32_t)(current() + 2);
  if (lanes < threads) lanes = threads;
  FOR(k, lanes) STORE(&shared.lane[k].ticket, (number + 1) << 32, SEQ_CST);
  STORE(&shared.list, list, RELEASE);
  STORE(&shared.count, count, RELEASE);
  STORE(&shared.threads, threads, RELEASE);
  FOR(k, threads) STORE(&shared.lane[k].done, 0, RELEASE);
  for (int64_t k = threads - 1; k >= 0; k--) STORE(&shared.lane[k].ticket, number << 32, SEQ_CST);
  call_helpers(threads - 1);
  work(&shared, number, 0);
  pthread_mutex_unlock(&busy);
}
"""

/* A disk that keeps a journal of what one process does to the files of one directory, and fails,
   is slow, full or read-only.

   Preloaded into a server (LD_PRELOAD). `GATEBOOK_TEST_DISK` names a directory with two files:
   `control`, a `struct control` that the test writes while the server runs, and `journal`, to which
   every write, change of length, new name, removed name and sync is appended once it was done. A
   power cut is made of it afterwards (disk.py): whatever wasn't synced may be lost. Shared memory
   of SQLite (-shm) and lock files are on no disk worth the name: they take part in a full disk, a
   read-only one and in failing writes, and are not in the journal. Knows no format of any file. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILES 4096
#define INODES 256
#define EVERY 1000000
#define UNLIMITED INT64_MAX

enum kind { NAME = 1, WRITE, LENGTH, SYNC, FAILED_SYNC, REMOVED, NAMES_SYNC };
enum { NOT_OURS = 0, UNRECORDED = -1, DIRECTORY = -2 };

struct control {
    _Atomic int64_t failing_writes; /* so many in a million */
    _Atomic int64_t failing_syncs;  /* likewise */
    _Atomic int64_t lying_syncs;    /* likewise: they say that they did, and didn't */
    _Atomic int64_t room;           /* bytes by which files may still grow */
    _Atomic int64_t sync_takes;     /* us that a sync waits, or until this is less */
    _Atomic int64_t read_only;      /* whether the file system became so: what is open stays open */
    _Atomic int64_t draws;          /* where the random numbers are; begins with a seed */
    _Atomic int64_t failed_writes;  /* counts, from here on */
    _Atomic int64_t failed_syncs;
    _Atomic int64_t lied_syncs;
    _Atomic int64_t refused_writes;
    _Atomic int64_t denied_writes;
    _Atomic int64_t slow_syncs;
    char directory[4000];
};

struct record {
    int32_t kind;
    int32_t file;
    int64_t at; /* an offset, a length, or where the journal was when a sync began */
    int64_t size;
};

static struct control *control;
static int journal = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int files[FILES];
static struct { dev_t device; ino_t inode; } inodes[INODES];
static int known;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

/* Others may call before our turn to be constructed has come. */
__attribute__((constructor)) static void find_the_real_ones(void)
{
    if (real_mmap)
        return;
    real_open = dlsym(RTLD_NEXT, "open");
    real_close = dlsym(RTLD_NEXT, "close");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_mmap = dlsym(RTLD_NEXT, "mmap64");
}

static void give_up(const char *what)
{
    dprintf(2, "disk.c: %s\n", what);
    abort();
}

/* The environment of a server that was forked comes after this library was loaded. */
static int switched_on(void)
{
    static atomic_int done;
    find_the_real_ones();
    if (done)
        return 1;
    const char *directory = getenv("GATEBOOK_TEST_DISK");
    if (!directory)
        return 0;
    pthread_mutex_lock(&lock);
    if (!done) {
        char path[4096];
        snprintf(path, sizeof path, "%s/control", directory);
        int opened = real_open(path, O_RDWR | O_CLOEXEC);
        snprintf(path, sizeof path, "%s/journal", directory);
        journal = real_open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (opened < 0 || journal < 0)
            give_up("no control or no journal");
        control = real_mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
        if (control == MAP_FAILED)
            give_up("the control can't be mapped");
        real_close(opened);
        done = 1;
    }
    pthread_mutex_unlock(&lock);
    return 1;
}

/* Whether one of so many in a million: splitmix64 of a counter that all threads share. */
static int befalls(int64_t in_a_million)
{
    if (in_a_million <= 0)
        return 0;
    uint64_t mixed = (uint64_t)atomic_fetch_add(&control->draws, 1) * 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return (int64_t)((mixed ^ (mixed >> 31)) % EVERY) < in_a_million;
}

/* Whether a change of a file is refused, since the file system is read-only. */
static int denied(void)
{
    if (!control->read_only)
        return 0;
    atomic_fetch_add(&control->denied_writes, 1);
    errno = EROFS;
    return 1;
}

/* A sync takes its time, which may be made less while it does. */
static void take_time(void)
{
    if (!control->sync_takes)
        return;
    const struct timespec step = {0, 1000000};
    struct timespec now, begun;
    int64_t waited = 0;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (; waited < control->sync_takes; waited = (now.tv_sec - begun.tv_sec) * EVERY
                                                  + (now.tv_nsec - begun.tv_nsec) / 1000) {
        nanosleep(&step, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    atomic_fetch_add(&control->slow_syncs, 1);
}

static void note(enum kind kind, int file, int64_t at, const void *data, int64_t size)
{
    struct record record = {kind, file, at, size};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)data, (size_t)size}};
    if (writev(journal, parts, size ? 2 : 1) != (ssize_t)(sizeof record) + size)
        give_up("the journal can't be written");
}

static int64_t written_so_far(void)
{
    struct stat found;
    if (fstat(journal, &found))
        give_up("the journal is gone");
    return found.st_size;
}

static int ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

/* The name of a file of ours in its directory, or NULL. */
static const char *name_of(const char *path)
{
    size_t length = strlen(control->directory);
    if (strncmp(path, control->directory, length) || path[length] != '/')
        return NULL;
    return strchr(path + length + 1, '/') ? NULL : path + length + 1;
}

/* Under the lock: the number of the file that a descriptor is of, the first time with its name. */
static int number_of(int descriptor, const char *name, int created)
{
    struct stat found;
    if (fstat(descriptor, &found))
        give_up("a file that was opened is gone");
    for (int each = known; each > 0 && !created; each--)
        if (inodes[each].device == found.st_dev && inodes[each].inode == found.st_ino)
            return each;
    if (++known >= INODES)
        give_up("too many files");
    inodes[known].device = found.st_dev;
    inodes[known].inode = found.st_ino;
    note(NAME, known, created, name, (int64_t)strlen(name));
    return known;
}

static int open_one(const char *path, int flags, mode_t mode)
{
    if (!switched_on())
        return real_open(path, flags, mode);
    const char *name = name_of(path);
    int is_directory = !strcmp(path, control->directory);
    if (!name && !is_directory)
        return real_open(path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat found;
    int created = (flags & O_CREAT) && stat(path, &found);
    int changes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) || created;
    int descriptor = changes && denied() ? -1 : real_open(path, flags, mode), failed = errno;
    if (descriptor >= FILES)
        give_up("too many descriptors");
    if (descriptor >= 0 && is_directory)
        files[descriptor] = DIRECTORY;
    else if (descriptor >= 0 && (ends_in(name, "-shm") || ends_in(name, ".lock")
                                 || ends_in(name, ".serve")))
        files[descriptor] = UNRECORDED;
    else if (descriptor >= 0)
        files[descriptor] = number_of(descriptor, name, created);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return descriptor;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_one(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

static int ours(int descriptor)
{
    find_the_real_ones();
    return control && descriptor >= 0 && descriptor < FILES ? files[descriptor] : NOT_OURS;
}

int close(int descriptor)
{
    if (ours(descriptor))
        files[descriptor] = NOT_OURS;
    return real_close(descriptor);
}

/* Under the lock: how much of a write there is room for. */
static int64_t takes(int descriptor, int64_t size, int64_t at)
{
    struct stat found;
    if (control->room == UNLIMITED || fstat(descriptor, &found))
        return size;
    int64_t grows = at + size - found.st_size;
    if (grows <= 0)
        return size;
    int64_t fits = grows < control->room ? grows : control->room;
    control->room -= fits;
    return size - (grows - fits);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at)
{
    int file = ours(descriptor);
    if (!file)
        return real_pwrite(descriptor, data, size, at);
    if (denied())
        return -1;
    if (befalls(control->failing_writes)) {
        atomic_fetch_add(&control->failed_writes, 1);
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int64_t fits = takes(descriptor, (int64_t)size, at);
    ssize_t done = -1;
    if (fits > 0 || !size) {
        done = real_pwrite(descriptor, data, (size_t)fits, at);
        if (done > 0 && file > 0)
            note(WRITE, file, at, data, done);
    } else {
        atomic_fetch_add(&control->refused_writes, 1);
        errno = ENOSPC;
    }
    int failed = errno;
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

ssize_t write(int descriptor, const void *data, size_t size)
{
    if (ours(descriptor) > 0)
        give_up("a write without an offset isn't foreseen");
    return real_write(descriptor, data, size);
}

int ftruncate(int descriptor, off_t length)
{
    int file = ours(descriptor);
    if (file && denied())
        return -1;
    if (file <= 0)
        return real_ftruncate(descriptor, length);
    pthread_mutex_lock(&lock);
    int done = real_ftruncate(descriptor, length), failed = errno;
    if (!done)
        note(LENGTH, file, length, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

static int sync_one(int descriptor, int (*real)(int))
{
    int file = ours(descriptor);
    if (!file || file == UNRECORDED)
        return real(descriptor);
    if (befalls(control->lying_syncs)) {
        atomic_fetch_add(&control->lied_syncs, 1);
        return 0;
    }
    int64_t begun = written_so_far();
    take_time();
    int read_only = denied(), fails = read_only || befalls(control->failing_syncs);
    if (!fails && real(descriptor))
        return -1;
    pthread_mutex_lock(&lock);
    if (fails)
        note(FAILED_SYNC, file, begun, NULL, 0);
    else
        note(file == DIRECTORY ? NAMES_SYNC : SYNC, file, begun, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (!fails)
        return 0;
    atomic_fetch_add(&control->failed_syncs, 1);
    errno = read_only ? EROFS : EIO;
    return -1;
}

int fsync(int descriptor) { return sync_one(descriptor, real_fsync); }

int fdatasync(int descriptor) { return sync_one(descriptor, real_fdatasync); }

int unlink(const char *path)
{
    const char *name = switched_on() ? name_of(path) : NULL;

    if (name && denied())
        return -1;
    if (!name || ends_in(name, "-shm"))
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    int done = real_unlink(path), failed = errno;
    if (!done)
        note(REMOVED, 0, 0, name, (int64_t)strlen(name));
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

void *mmap64(void *where, size_t size, int may, int how, int descriptor, off_t at)
{
    if ((how & MAP_SHARED) && (may & PROT_WRITE) && ours(descriptor) > 0)
        give_up("writing through memory isn't foreseen");
    return real_mmap(where, size, may, how, descriptor, at);
}

void *mmap(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap64")));

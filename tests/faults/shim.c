/* Loaded before the C library (LD_PRELOAD) by the processes that tests/faults injects faults into.
 *
 * Once armed for a folder, every operation that changes a file in it is numbered and written to a log before the next
 * one begins; at a given number the process is killed instead, or in the middle of that write. What is mapped into
 * memory and changed there is not seen; a sync therefore logs the whole file as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, SYNC_FOLDER, RENAME, UNLINK, MKDIR, RMDIR, MARK };

struct header {
    uint32_t kind, number, path_length, other_length;
    uint64_t offset, data_length;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile int armed = 0;
static char root[PATH_MAX];
static size_t root_length;
static int log_descriptor = -1;
static long next_number, fatal_number;
static int dies_in_the_middle;

#define REAL(name) \
    static __typeof__(&name) real = NULL; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* ------------------------------------------------------------------ the log */

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        ssize_t done = syscall(SYS_write, log_descriptor, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static void record(enum kind kind, const char *path, const char *other, uint64_t offset, const void *data, size_t length) {
    struct header header = {kind, (uint32_t)next_number, (uint32_t)strlen(path), (uint32_t)strlen(other), offset, length};
    size_t size = sizeof header + header.path_length + header.other_length + length;
    char *whole = malloc(size);
    if (!whole) abort();
    memcpy(whole, &header, sizeof header);
    memcpy(whole + sizeof header, path, header.path_length);
    memcpy(whole + sizeof header + header.path_length, other, header.other_length);
    if (length) memcpy(whole + size - length, data, length);
    put(whole, size);
    free(whole);
}

/* Log a part of a file as it is now: what the kernel copied, or a buffered stream wrote. */
static void record_range(enum kind kind, const char *path, off_t offset, size_t length) {
    char *data = malloc(length ? length : 1);
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    ssize_t found = file < 0 || !data ? 0 : (ssize_t)syscall(SYS_pread64, file, data, length, offset);
    if (file >= 0) syscall(SYS_close, file);
    record(kind, path, "", (uint64_t)offset, data, found > 0 ? (size_t)found : 0);
    free(data);
}

static int is_now(void) {
    return ++next_number == fatal_number;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* ---------------------------------------------------------- which files count */

static int in_root(const char *path) {
    return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return in_root(path);
}

static int resolve(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD) {
            if (syscall(SYS_getcwd, base, sizeof base) <= 0) return 0;
        } else {
            path_of(folder, base);
        }
        if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) return 0;
    }
    return in_root(path);
}

#define GUARDED(condition, plain) \
    char path[PATH_MAX]; \
    if (!armed || !(condition)) return plain; \
    pthread_mutex_lock(&mutex)

#define DONE(result) \
    do { \
        int kept = errno; \
        pthread_mutex_unlock(&mutex); \
        errno = kept; \
        return result; \
    } while (0)

/* ------------------------------------------------------------- what is called */

void faults_arm(const char *folder, const char *log, long number, int in_the_middle) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_descriptor < 0) abort();
    next_number = 0;
    fatal_number = number;
    dies_in_the_middle = in_the_middle;
    armed = 1;
}

void faults_disarm(void) {
    armed = 0;
}

void faults_mark(const char *text) {
    pthread_mutex_lock(&mutex);
    record(MARK, text, "", 0, NULL, 0);
    pthread_mutex_unlock(&mutex);
}

/* ----------------------------------------------------------------- opening */

static void before_open(int flags, const char *path, int *creates, int *empties) {
    struct stat found;
    int exists = syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) == 0;
    *creates = (flags & O_CREAT) && !exists;
    *empties = (flags & O_TRUNC) && exists && found.st_size > 0;
    if ((*creates || *empties) && is_now()) die();
}

static void after_open(int descriptor, const char *path, int creates, int empties) {
    if (descriptor < 0) return;
    if (creates) record(CREATE, path, "", 0, NULL, 0);
    if (empties) record(TRUNCATE, path, "", 0, NULL, 0);
}

static int guarded_openat(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!armed || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !resolve(folder, name, path))
        return (int)syscall(SYS_openat, folder, name, flags, mode);
    pthread_mutex_lock(&mutex);
    int creates, empties;
    before_open(flags, path, &creates, &empties);
    int descriptor = (int)syscall(SYS_openat, folder, name, flags, mode);
    int kept = errno;
    after_open(descriptor, path, creates, empties);
    errno = kept;
    DONE(descriptor);
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *name, int flags, ...) { MODE_OF(flags) return guarded_openat(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE_OF(flags) return guarded_openat(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE_OF(flags) return guarded_openat(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE_OF(flags) return guarded_openat(folder, name, flags | O_LARGEFILE, mode); }
int creat(const char *name, mode_t mode) { return guarded_openat(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

#define FOPEN(function) \
    FILE *function(const char *restrict name, const char *restrict mode) { \
        REAL(function); \
        GUARDED(mode[0] != 'r' && resolve(AT_FDCWD, name, path), real(name, mode)); \
        int creates, empties; \
        before_open(O_CREAT | (mode[0] == 'w' ? O_TRUNC : 0), path, &creates, &empties); \
        FILE *file = real(name, mode); \
        int kept = errno; \
        after_open(file ? 0 : -1, path, creates, empties); \
        errno = kept; \
        DONE(file); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* ----------------------------------------------------------------- writing */

static off_t where(int descriptor) {
    struct stat found;
    if ((fcntl(descriptor, F_GETFL) & O_APPEND) && fstat(descriptor, &found) == 0) return found.st_size;
    return lseek(descriptor, 0, SEEK_CUR);
}

static ssize_t guarded_pwrite(int descriptor, const char *path, const void *data, size_t length, off_t offset, int moves) {
    int dies = is_now();
    if (dies && (!dies_in_the_middle || length < 2)) die();
    size_t now = dies ? length / 2 : length;
    ssize_t done = moves ? (ssize_t)syscall(SYS_write, descriptor, data, now)
                         : (ssize_t)syscall(SYS_pwrite64, descriptor, data, now, offset);
    int kept = errno;
    if (done > 0) record(WRITE, path, "", (uint64_t)offset, data, (size_t)done);
    if (dies) die();
    errno = kept;
    return done;
}

ssize_t write(int descriptor, const void *data, size_t length) {
    GUARDED(path_of(descriptor, path), (ssize_t)syscall(SYS_write, descriptor, data, length));
    ssize_t done = guarded_pwrite(descriptor, path, data, length, where(descriptor), 1);
    DONE(done);
}

#define PWRITE(function, offset_type) \
    ssize_t function(int descriptor, const void *data, size_t length, offset_type offset) { \
        GUARDED(path_of(descriptor, path), (ssize_t)syscall(SYS_pwrite64, descriptor, data, length, offset)); \
        ssize_t done = guarded_pwrite(descriptor, path, data, length, offset, 0); \
        DONE(done); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    REAL(writev);
    GUARDED(path_of(descriptor, path), real(descriptor, pieces, count));
    off_t offset = where(descriptor);
    if (is_now()) die();
    ssize_t done = real(descriptor, pieces, count);
    int kept = errno;
    if (done > 0) record_range(WRITE, path, offset, (size_t)done);
    errno = kept;
    DONE(done);
}

size_t fwrite(const void *restrict data, size_t size, size_t count, FILE *restrict file) {
    REAL(fwrite);
    GUARDED(path_of(fileno(file), path), real(data, size, count, file));
    fflush(file);
    off_t offset = where(fileno(file));
    if (is_now()) die();
    size_t done = real(data, size, count, file);
    fflush(file);
    int kept = errno;
    if (done > 0) record_range(WRITE, path, offset, done * size);
    errno = kept;
    DONE(done);
}

#define SENDFILE(function, offset_type) \
    extern ssize_t function(int, int, offset_type *, size_t); \
    ssize_t function(int target, int source, offset_type *from, size_t length) { \
        GUARDED(path_of(target, path), (ssize_t)syscall(SYS_sendfile, target, source, from, length)); \
        off_t offset = where(target); \
        if (is_now()) die(); \
        ssize_t done = (ssize_t)syscall(SYS_sendfile, target, source, from, length); \
        int kept = errno; \
        if (done > 0) record_range(WRITE, path, offset, (size_t)done); \
        errno = kept; \
        DONE(done); \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

ssize_t copy_file_range(int source, off64_t *from, int target, off64_t *to, size_t length, unsigned flags) {
    GUARDED(path_of(target, path), (ssize_t)syscall(SYS_copy_file_range, source, from, target, to, length, flags));
    off_t offset = to ? (off_t)*to : where(target);
    if (is_now()) die();
    ssize_t done = (ssize_t)syscall(SYS_copy_file_range, source, from, target, to, length, flags);
    int kept = errno;
    if (done > 0) record_range(WRITE, path, offset, (size_t)done);
    errno = kept;
    DONE(done);
}

#define FTRUNCATE(function, offset_type) \
    int function(int descriptor, offset_type size) { \
        GUARDED(path_of(descriptor, path), (int)syscall(SYS_ftruncate, descriptor, size)); \
        if (is_now()) die(); \
        int status = (int)syscall(SYS_ftruncate, descriptor, size); \
        int kept = errno; \
        if (status == 0) record(TRUNCATE, path, "", (uint64_t)size, NULL, 0); \
        errno = kept; \
        DONE(status); \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

/* ----------------------------------------------------------------- syncing */

static int guarded_sync(int descriptor, const char *path, long call) {
    struct stat found;
    if (is_now()) die();
    int status = (int)syscall(call, descriptor);
    int kept = errno;
    if (status == 0 && fstat(descriptor, &found) == 0) {
        if (S_ISDIR(found.st_mode)) record(SYNC_FOLDER, path, "", 0, NULL, 0);
        else record_range(SYNC, path, 0, (size_t)found.st_size);
    }
    errno = kept;
    return status;
}

int fsync(int descriptor) {
    GUARDED(path_of(descriptor, path), (int)syscall(SYS_fsync, descriptor));
    int status = guarded_sync(descriptor, path, SYS_fsync);
    DONE(status);
}

int fdatasync(int descriptor) {
    GUARDED(path_of(descriptor, path), (int)syscall(SYS_fdatasync, descriptor));
    int status = guarded_sync(descriptor, path, SYS_fdatasync);
    DONE(status);
}

/* ----------------------------------------------------------- names in folders */

static int guarded_name(enum kind kind, const char *path, const char *other, long call, const long *arguments) {
    if (is_now()) die();
    int status = (int)syscall(call, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
    int kept = errno;
    if (status == 0) record(kind, path, other, 0, NULL, 0);
    errno = kept;
    return status;
}

static int guarded_rename(int folder, const char *name, int new_folder, const char *new_name, unsigned flags) {
    long arguments[] = {folder, (long)name, new_folder, (long)new_name, flags};
    char other[PATH_MAX];
    GUARDED(resolve(folder, name, path), (int)syscall(SYS_renameat2, folder, name, new_folder, new_name, flags));
    resolve(new_folder, new_name, other);
    int status = guarded_name(RENAME, path, other, SYS_renameat2, arguments);
    DONE(status);
}

int rename(const char *name, const char *new_name) { return guarded_rename(AT_FDCWD, name, AT_FDCWD, new_name, 0); }
int renameat(int folder, const char *name, int new_folder, const char *new_name) {
    return guarded_rename(folder, name, new_folder, new_name, 0);
}
int renameat2(int folder, const char *name, int new_folder, const char *new_name, unsigned flags) {
    return guarded_rename(folder, name, new_folder, new_name, flags);
}

int unlinkat(int folder, const char *name, int flags) {
    long arguments[] = {folder, (long)name, flags, 0, 0};
    GUARDED(resolve(folder, name, path), (int)syscall(SYS_unlinkat, folder, name, flags));
    int status = guarded_name(flags & AT_REMOVEDIR ? RMDIR : UNLINK, path, "", SYS_unlinkat, arguments);
    DONE(status);
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
    long arguments[] = {folder, (long)name, mode, 0, 0};
    GUARDED(resolve(folder, name, path), (int)syscall(SYS_mkdirat, folder, name, mode));
    int status = guarded_name(MKDIR, path, "", SYS_mkdirat, arguments);
    DONE(status);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

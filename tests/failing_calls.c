/* Loaded before libc (LD_PRELOAD): counts a process's calls on the files below one folder, lets
 * one of them fail, and writes down what was done. Nothing happens until calls_watch() is called.
 *
 *   cc -shared -fPIC -O1 -o failing_calls.so failing_calls.c -ldl
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kinds of calls, as bits: which of them an error can come from. */
enum { READ_OPEN = 1, WRITE_OPEN = 2, READ = 4, WRITE = 8, SYNC = 16, CLOSE = 32, NAME = 64,
       STAT = 128, LIST = 256, LOCK = 512 };

/* Shared with the parent, which reads it after the child has ended. */
struct report { long calls, hits; char hit[PATH_MAX + 64]; };
static struct report *report;

static struct {
  int on, kinds, error, lasting, log, with_data;
  long number; /* the call of these kinds that fails, from 1; 0: none */
  size_t length;
  char folder[PATH_MAX];
} watch;
static __thread int inside;

#define REAL(name) ((__typeof__(&name))next(#name))
static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
  report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

struct report *calls_report(void) { return report; }

void calls_watch(const char *folder, int kinds, long number, int error, int lasting, int log,
                 int with_data) {
  memset(report, 0, sizeof *report);
  snprintf(watch.folder, sizeof watch.folder, "%s", folder);
  watch.length = strlen(watch.folder);
  watch.kinds = kinds, watch.number = number, watch.error = error, watch.lasting = lasting;
  watch.log = log, watch.with_data = with_data, watch.on = 1;
}

static int of_descriptor(int descriptor, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  long got = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (got < 0) return 0;
  path[got] = 0;
  return 1;
}

static int resolved(int at, const char *name, char *path) {
  char base[PATH_MAX];
  if (name == NULL) return 0;
  if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) > 0;
  if (at == AT_FDCWD ? getcwd(base, sizeof base) == NULL : !of_descriptor(at, base)) return 0;
  return snprintf(path, PATH_MAX, "%s/%s", base, name) > 0;
}

static int is_watched(const char *path) {
  return strncmp(path, watch.folder, watch.length) == 0
      && (path[watch.length] == '/' || path[watch.length] == 0);
}

static void put(const char *data, size_t size) {
  while (size) {
    long done = syscall(SYS_write, watch.log, data, size);
    if (done <= 0) return;
    data += done, size -= done;
  }
}

/* One line of the log: kind, call, offset, number of bytes that follow, path, second path. */
static void note(int kind, const char *call, const char *path, const char *other, long offset,
                 const void *data, size_t size) {
  char line[2 * PATH_MAX + 128];
  if (watch.log < 0) return;
  int length = snprintf(line, sizeof line, "%d\t%s\t%ld\t%zu\t%s\t%s\n", kind, call, offset,
                        data ? size : 0, path, other ? other : "");
  put(line, length);
  if (data) put(data, size);
}

/* Return whether this call is to fail; if not, what it does is written down afterwards. */
static int fails(int kind, const char *call, const char *path) {
  if (!(kind & watch.kinds)) return 0;
  long number = __atomic_add_fetch(&report->calls, 1, __ATOMIC_SEQ_CST);
  if (!watch.number || (watch.lasting ? number < watch.number : number != watch.number)) return 0;
  if (!report->hits++) snprintf(report->hit, sizeof report->hit, "%s %s", call, path);
  errno = watch.error;
  return 1;
}

#define ENTER(condition)                                                                          \
  char path[PATH_MAX] = "", other[PATH_MAX] = "";                                                 \
  int watched = watch.on && !inside && (condition) && is_watched(path), error = errno;            \
  (void)other, errno = error, inside += watched;
#define FAIL(kind, call, result)                                                                  \
  if (watched && fails(kind, call, path)) { inside--; return result; }
#define LEAVE(kind, call, ok, offset, data, size)                                                 \
  if (watched) {                                                                                  \
    int after = errno;                                                                            \
    if (ok) note(kind, call, path, other, offset, watch.with_data ? data : NULL, size);           \
    inside--, errno = after;                                                                      \
  }

#define OPEN(name, at, real)                                                                      \
  int creates = flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR);                                  \
  mode_t mode = 0;                                                                                \
  if (flags & (O_CREAT | O_TMPFILE)) {                                                            \
    va_list rest;                                                                                 \
    va_start(rest, flags), mode = va_arg(rest, mode_t), va_end(rest);                             \
  }                                                                                               \
  ENTER(resolved(at, file, path))                                                                 \
  struct stat before;                                                                             \
  int is_new = watched && creates && lstat(path, &before) != 0;                                   \
  errno = error;                                                                                  \
  FAIL(creates ? WRITE_OPEN : READ_OPEN, name, -1)                                                \
  int got = real;                                                                                 \
  const char *done = is_new ? "create" : flags & O_TRUNC ? "truncate" : "open";                   \
  LEAVE(creates ? WRITE_OPEN : READ_OPEN, done, got >= 0, 0, NULL, 0)                             \
  return got;

int open(const char *file, int flags, ...) { OPEN("open", AT_FDCWD, REAL(open)(file, flags, mode)) }
int open64(const char *file, int flags, ...) {
  OPEN("open", AT_FDCWD, REAL(open64)(file, flags, mode))
}
int openat(int at, const char *file, int flags, ...) {
  OPEN("open", at, REAL(openat)(at, file, flags, mode))
}
int openat64(int at, const char *file, int flags, ...) {
  OPEN("open", at, REAL(openat64)(at, file, flags, mode))
}

#define FOPEN(real)                                                                               \
  int writes = mode[0] != 'r' || strchr(mode, '+');                                               \
  ENTER(resolved(AT_FDCWD, file, path))                                                           \
  FAIL(writes ? WRITE_OPEN : READ_OPEN, "open", NULL)                                             \
  FILE *got = real(file, mode);                                                                   \
  LEAVE(writes ? WRITE_OPEN : READ_OPEN, writes ? "unseen" : "open", got != NULL, 0, NULL, 0)     \
  return got;

FILE *fopen(const char *file, const char *mode) { FOPEN(REAL(fopen)) }
FILE *fopen64(const char *file, const char *mode) { FOPEN(REAL(fopen64)) }

#define WRITES(at, real)                                                                          \
  ENTER(of_descriptor(fd, path))                                                                  \
  FAIL(WRITE, "write", -1)                                                                        \
  off_t place = at;                                                                               \
  if (watched && REAL(fcntl)(fd, F_GETFL) & O_APPEND) {                                           \
    struct stat now;                                                                              \
    place = fstat(fd, &now) ? 0 : now.st_size;                                                    \
  }                                                                                               \
  ssize_t got = real;                                                                             \
  LEAVE(WRITE, "write", got > 0, place, data, got)                                                \
  return got;

ssize_t write(int fd, const void *data, size_t size) {
  WRITES(watched ? lseek(fd, 0, SEEK_CUR) : 0, REAL(write)(fd, data, size))
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  WRITES(offset, REAL(pwrite)(fd, data, size, offset))
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  WRITES(offset, REAL(pwrite64)(fd, data, size, offset))
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (!watch.on || inside) return REAL(writev)(fd, parts, count);
  ssize_t total = 0; /* as single writes, which are watched */
  for (int i = 0; i < count; i++) {
    ssize_t got = write(fd, parts[i].iov_base, parts[i].iov_len);
    if (got < 0) return total ? total : got;
    total += got;
    if ((size_t)got < parts[i].iov_len) break;
  }
  return total;
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
  if (watch.on && !inside) { errno = ENOSYS; return -1; } /* the caller then reads and writes */
  return REAL(sendfile)(out, in, offset, size);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
  if (watch.on && !inside) { errno = ENOSYS; return -1; }
  return REAL(sendfile64)(out, in, offset, size);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
  if (watch.on && !inside) { errno = ENOSYS; return -1; }
  return REAL(copy_file_range)(in, from, out, to, size, flags);
}

#define BY_DESCRIPTOR(type, kind, call, real, data, size)                                         \
  ENTER(of_descriptor(fd, path))                                                                  \
  FAIL(kind, call, -1)                                                                            \
  type got = real;                                                                                \
  LEAVE(kind, call, got >= 0, size, data, 0)                                                      \
  return got;

ssize_t read(int fd, void *data, size_t size) {
  BY_DESCRIPTOR(ssize_t, READ, "read", REAL(read)(fd, data, size), NULL, 0)
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) {
  BY_DESCRIPTOR(ssize_t, READ, "read", REAL(pread)(fd, data, size, offset), NULL, 0)
}
ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
  BY_DESCRIPTOR(ssize_t, READ, "read", REAL(pread64)(fd, data, size, offset), NULL, 0)
}
int fsync(int fd) { BY_DESCRIPTOR(int, SYNC, "sync", REAL(fsync)(fd), NULL, 0) }
int fdatasync(int fd) { BY_DESCRIPTOR(int, SYNC, "sync", REAL(fdatasync)(fd), NULL, 0) }
int ftruncate(int fd, off_t size) {
  BY_DESCRIPTOR(int, WRITE, "resize", REAL(ftruncate)(fd, size), NULL, size)
}
int ftruncate64(int fd, off64_t size) {
  BY_DESCRIPTOR(int, WRITE, "resize", REAL(ftruncate64)(fd, size), NULL, size)
}
int flock(int fd, int operation) {
  BY_DESCRIPTOR(int, LOCK, "lock", ((int (*)(int, int))next("flock"))(fd, operation), NULL, 0)
}
int fstat(int fd, struct stat *found) { /* of an open file: nothing is denied any more */
  BY_DESCRIPTOR(int, READ, "stat", REAL(fstat)(fd, found), NULL, 0)
}
int fstat64(int fd, struct stat64 *found) {
  BY_DESCRIPTOR(int, READ, "stat", REAL(fstat64)(fd, found), NULL, 0)
}

int close(int fd) {
  int flags = watch.on && !inside ? REAL(fcntl)(fd, F_GETFL) : 0;
  ENTER((flags & O_ACCMODE) != O_RDONLY && of_descriptor(fd, path))
  if (watched && fails(CLOSE, "close", path)) { /* closed all the same, as by Linux */
    REAL(close)(fd);
    inside--, errno = watch.error;
    return -1;
  }
  int got = REAL(close)(fd);
  LEAVE(CLOSE, "close", got >= 0, 0, NULL, 0)
  return got;
}

#define BY_NAME(kind, call, at, file, real)                                                       \
  ENTER(resolved(at, file, path))                                                                 \
  FAIL(kind, call, -1)                                                                            \
  int got = real;                                                                                 \
  LEAVE(kind, call, got >= 0, 0, NULL, 0)                                                         \
  return got;

int mkdir(const char *file, mode_t mode) {
  BY_NAME(NAME, "mkdir", AT_FDCWD, file, REAL(mkdir)(file, mode))
}
int mkdirat(int at, const char *file, mode_t mode) {
  BY_NAME(NAME, "mkdir", at, file, REAL(mkdirat)(at, file, mode))
}
int unlink(const char *file) { BY_NAME(NAME, "unlink", AT_FDCWD, file, REAL(unlink)(file)) }
int rmdir(const char *file) { BY_NAME(NAME, "rmdir", AT_FDCWD, file, REAL(rmdir)(file)) }
int unlinkat(int at, const char *file, int flags) {
  BY_NAME(NAME, flags & AT_REMOVEDIR ? "rmdir" : "unlink", at, file,
          REAL(unlinkat)(at, file, flags))
}
int stat(const char *file, struct stat *found) {
  BY_NAME(STAT, "stat", AT_FDCWD, file, REAL(stat)(file, found))
}
int stat64(const char *file, struct stat64 *found) {
  BY_NAME(STAT, "stat", AT_FDCWD, file, REAL(stat64)(file, found))
}
int lstat(const char *file, struct stat *found) {
  BY_NAME(STAT, "stat", AT_FDCWD, file, REAL(lstat)(file, found))
}
int lstat64(const char *file, struct stat64 *found) {
  BY_NAME(STAT, "stat", AT_FDCWD, file, REAL(lstat64)(file, found))
}
int fstatat(int at, const char *file, struct stat *found, int flags) {
  BY_NAME(STAT, "stat", at, file, REAL(fstatat)(at, file, found, flags))
}
int fstatat64(int at, const char *file, struct stat64 *found, int flags) {
  BY_NAME(STAT, "stat", at, file, REAL(fstatat64)(at, file, found, flags))
}

#define RENAME(from_at, from, to_at, to, real)                                                    \
  ENTER(resolved(to_at, to, other) && resolved(from_at, from, path))                              \
  FAIL(NAME, "rename", -1)                                                                        \
  int got = real;                                                                                 \
  LEAVE(NAME, "rename", got >= 0, 0, NULL, 0)                                                     \
  return got;

int rename(const char *from, const char *to) {
  RENAME(AT_FDCWD, from, AT_FDCWD, to, REAL(rename)(from, to))
}
int renameat(int a, const char *from, int b, const char *to) {
  RENAME(a, from, b, to, REAL(renameat)(a, from, b, to))
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  RENAME(a, from, b, to, REAL(renameat2)(a, from, b, to, flags))
}

DIR *opendir(const char *file) {
  ENTER(resolved(AT_FDCWD, file, path))
  FAIL(LIST, "list", NULL)
  DIR *got = REAL(opendir)(file);
  LEAVE(LIST, "list", got != NULL, 0, NULL, 0)
  return got;
}
DIR *fdopendir(int fd) {
  ENTER(of_descriptor(fd, path))
  FAIL(LIST, "list", NULL)
  DIR *got = REAL(fdopendir)(fd);
  LEAVE(LIST, "list", got != NULL, 0, NULL, 0)
  return got;
}

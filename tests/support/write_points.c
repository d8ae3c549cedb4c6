/* Preloaded into gitsnap and git by tests: counts every call that changes a file below one folder, and at the n-th one
 * kills the whole process group, or lets it and all later ones fail. It sees libgit2 and git as well as Python.
 *
 * A write of more than one byte is two points: before it, and after its first half. Not seen are writes of stdio's
 * own buffers (git's packed-refs.new); the calls around them are. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, FAIL };
enum { ALLOCATES = 1, CHANGES_NAMES = 2 };

/* The layout is known to write_points.py. */
struct control {
    _Atomic long count;
    long limit;
    int action;
    int error;
    int log;
    char below[PATH_MAX];
};

static struct control *control;
static char log_path[PATH_MAX];

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("WRITE_POINTS");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;

    if (file < 0)
        return;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (control == MAP_FAILED)
        control = NULL;
    close(file);
    snprintf(log_path, sizeof log_path, "%s.log", path);
}

static void resolve(int folder, const char *path, char *whole)
{
    char link[64];
    ssize_t length = 0;

    whole[0] = 0;
    if (path && path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
        return;
    }
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    length = readlink(link, whole, PATH_MAX - 1);
    if (length < 0)
        length = 0;
    whole[length] = 0;
    if (path)
        snprintf(whole + length, PATH_MAX - length, "/%s", path);
}

static int watched(const char *path)
{
    size_t length = strlen(control->below);

    return length && !strncmp(path, control->below, length);
}

/* git writes refs through a directory that stands for the archive's: the path that such a link leads to. */
static int leads_below(const char *path, char *real)
{
    char folder[PATH_MAX];
    char *slash;

    snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (!slash)
        return 0;
    *slash = 0;
    if (!realpath(folder, real))
        return 0;
    snprintf(real + strlen(real), PATH_MAX - strlen(real), "/%s", slash + 1);
    return watched(real);
}

static void note(const char *name, const char *path, const char *other)
{
    char line[2 * PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", name, path, other);
    int file = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (file >= 0) {
        syscall(SYS_write, file, line, length);
        close(file);
    }
}

/* Which calls a fault meets: a full disk those that need space, a lost permission those that change names, and a
 * broken disk or one that became read-only all. */
static int is_met(int kind)
{
    switch (control->error) {
    case ENOSPC:
    case EDQUOT:
        return kind & ALLOCATES;
    case EACCES:
        return kind & CHANGES_NAMES;
    default:
        return 1;
    }
}

static int point(const char *name, int kind, int folder, const char *path, const char *other)
{
    char whole[PATH_MAX];
    long number;
    int kept = errno;

    if (!control)
        return 0;
    resolve(folder, path, whole);
    if (!watched(whole)) {
        char real[PATH_MAX];

        if (control->log && leads_below(whole, real)) /* only noted: a fault there would meet git's session alone */
            note(name, real, other ? other : "");
        errno = kept;
        return 0;
    }
    number = atomic_fetch_add(&control->count, 1) + 1;
    if (control->log)
        note(name, whole, other ? other : "");
    if (control->action == KILL && number == control->limit) {
        kill(0, SIGKILL);
        for (;;)
            pause();
    }
    errno = kept;
    if (control->action == FAIL && number >= control->limit && is_met(kind)) {
        errno = control->error;
        return -1;
    }
    return 0;
}

static int do_open(int folder, const char *path, int flags, mode_t mode)
{
    if (flags & (O_CREAT | O_TRUNC) && point("create", ALLOCATES | CHANGES_NAMES, folder, path, NULL))
        return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define OPEN(name)                                         \
    int name(const char *path, int flags, ...)             \
    {                                                      \
        va_list more;                                      \
        mode_t mode;                                       \
        va_start(more, flags);                             \
        mode = va_arg(more, mode_t);                       \
        va_end(more);                                      \
        return do_open(AT_FDCWD, path, flags, mode);       \
    }
#define OPENAT(name)                                       \
    int name(int folder, const char *path, int flags, ...) \
    {                                                      \
        va_list more;                                      \
        mode_t mode;                                       \
        va_start(more, flags);                             \
        mode = va_arg(more, mode_t);                       \
        va_end(more);                                      \
        return do_open(folder, path, flags, mode);         \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* Whether the next point is the one, and what it does meets a write into this file. */
static int is_next(int file)
{
    char whole[PATH_MAX];

    if (!control || control->action == COUNT || control->count + 1 != control->limit)
        return 0;
    resolve(file, NULL, whole);
    return watched(whole) && (control->action == KILL || is_met(ALLOCATES));
}

ssize_t write(int file, const void *data, size_t size)
{
    ssize_t half;

    if (point("write", ALLOCATES, file, NULL, NULL))
        return -1;
    if (size > 1) {
        half = is_next(file) ? syscall(SYS_write, file, data, size / 2) : 0;
        if (point("half a write", ALLOCATES, file, NULL, NULL))
            return half > 0 ? half : -1;
    }
    return syscall(SYS_write, file, data, size);
}

#define PWRITE(name, offset_type)                                         \
    ssize_t name(int file, const void *data, size_t size, offset_type at) \
    {                                                                     \
        if (point("write", ALLOCATES, file, NULL, NULL))                  \
            return -1;                                                    \
        return syscall(SYS_pwrite64, file, data, size, at);               \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count)
{
    if (point("write", ALLOCATES, file, NULL, NULL))
        return -1;
    return syscall(SYS_writev, file, parts, count);
}

#define TRUNCATE(name, offset_type)                          \
    int name(int file, offset_type size)                     \
    {                                                        \
        if (point("truncate", ALLOCATES, file, NULL, NULL))  \
            return -1;                                       \
        return (int)syscall(SYS_ftruncate, file, size);      \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int fsync(int file)
{
    return point("fsync", 0, file, NULL, NULL) ? -1 : (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    return point("fsync", 0, file, NULL, NULL) ? -1 : (int)syscall(SYS_fdatasync, file);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
    char whole[PATH_MAX];

    resolve(to_folder, to, whole);
    if (point("rename", CHANGES_NAMES, from_folder, from, whole))
        return -1;
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    char whole[PATH_MAX];

    resolve(to_folder, to, whole);
    if (point("link", ALLOCATES | CHANGES_NAMES, from_folder, from, whole))
        return -1;
    return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *path, int flags)
{
    if (point(flags & AT_REMOVEDIR ? "rmdir" : "unlink", CHANGES_NAMES, folder, path, NULL))
        return -1;
    return (int)syscall(SYS_unlinkat, folder, path, flags);
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    if (point("mkdir", ALLOCATES | CHANGES_NAMES, folder, path, NULL))
        return -1;
    return (int)syscall(SYS_mkdirat, folder, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int fchmodat(int folder, const char *path, mode_t mode, int flags)
{
    (void)flags;
    if (point("chmod", CHANGES_NAMES, folder, path, NULL))
        return -1;
    return (int)syscall(SYS_fchmodat, folder, path, mode);
}

int chmod(const char *path, mode_t mode)
{
    return fchmodat(AT_FDCWD, path, mode, 0);
}
